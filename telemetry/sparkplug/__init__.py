"""The gateway's wire: Sparkplug B 3.0 topics and payloads, and the samples that travel in them. Pure."""
