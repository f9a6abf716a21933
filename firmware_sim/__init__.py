"""A sensor unit without the hardware: pack physics, weather and roads, the unit's firmware, scenarios, and replay."""
