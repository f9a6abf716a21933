"""Import it first: beside this file `alerts` and `ingest` are scripts, and the rooms of that name must be found."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
