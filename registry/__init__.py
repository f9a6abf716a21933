"""What is being moved, by whom, and who may see it: packs, units, shipments, alerts and people as records."""
