"""A process that looks for cycles rarely ends without a word."""

import subprocess
import sys

PROGRAM = """
import duckdb
from packwatch.garbage import look_for_cycles_rarely

duckdb.connect().execute("SELECT 1").fetchall()
look_for_cycles_rarely()
"""


def test_what_is_never_looked_at_is_not_reported_as_leaked():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
