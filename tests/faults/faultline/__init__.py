"""Faults as a program: all parts as real processes, a seeded script that does harm, and a comparison at the end."""
