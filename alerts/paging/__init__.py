"""Telling people: what escalation says is due goes from the outbox to channels, and what became of it is kept."""
