"""Thermal risk, told early: a pure detector over all packs at once, the life of an alert, and the service."""
