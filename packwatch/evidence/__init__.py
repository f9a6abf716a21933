"""Evidence bundles of incidents: what is in them, and how they are checked."""
