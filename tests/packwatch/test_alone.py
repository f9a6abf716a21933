"""A service alone imports what it needs: memory and start matter on a vehicle's box."""

import subprocess
import sys

import pytest

HEAVY = ("alembic", "duckdb", "fastapi", "influxdb_client", "matplotlib", "pyarrow", "sqlalchemy")


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("packwatch.cli", set()),
        ("packwatch.alone.gateway", set()),
        ("packwatch.alone.alerts", {"alembic", "sqlalchemy"}),
        ("packwatch.alone.ingest", {"alembic", "fastapi", "sqlalchemy"}),
        ("packwatch.alone.dashboard", {"alembic", "fastapi", "sqlalchemy"}),
        ("packwatch.up", {"alembic", "fastapi", "sqlalchemy"}),
    ],
)
def test_what_starts_imports_what_it_needs(module, expected):
    program = f"import sys, {module}; print(*set({HEAVY}) & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == expected
