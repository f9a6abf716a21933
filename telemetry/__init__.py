"""The shared language: samples, batches, quality, and the two wires they travel on. Pure; it performs no I/O."""
