"""How often Python looks for reference cycles: rarely, since the stream makes many objects and hardly any cycle."""

from __future__ import annotations

import atexit
import gc

THRESHOLDS = (100_000, 50, 100)
"""New objects before a look at the young ones, and how many such looks before an older generation is looked at too.
With Python's own (700, 10, 10) a third of the time of a message went there, measured at one sample a message; these
keep a few seconds' worth of messages unlooked at. **assumed**"""


def look_for_cycles_rarely() -> None:
    """For a process that takes the stream; what is loaded by now is never looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    # What nobody looks at as the interpreter ends stays, and DuckDB's bindings report all of theirs as leaked.
    atexit.register(gc.unfreeze)
