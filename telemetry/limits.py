"""How much a message may hold, on both wires; docs/wire.md tells the peers."""

MAX_INTEGER = 2**53 - 1
"""The largest tick, frame number or time: exact in a double, so that a browser sees the same number."""
MAX_ROWS = 4096
"""Samples in a frame or batch. **Assumed**: over an hour at one a second, longer than any unit keeps samples back."""
MAX_CHANNELS = 512
"""Temperatures, or voltages, of a unit. **Assumed**: the largest truck packs have some 200 cells in series."""
MAX_BATCH_BYTES = 262_144
"""A batch on the cloud's wire: 256 KiB by design, far below the 1,000,000 bytes at which the embedded broker
disconnects a publisher. A frame becomes one batch, so a frame whose batch would be larger is refused where it is made.
"""
