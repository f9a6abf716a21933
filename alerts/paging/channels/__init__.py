"""The ways to a person, one file each."""
