"""Golden bytes, and hypothesis without a stopwatch: a busy machine is no failure."""

from pathlib import Path

import pytest
from hypothesis import settings

_GOLDEN = Path(__file__).parents[1] / "golden"

settings.register_profile("thorough", deadline=None, max_examples=200)
settings.load_profile("thorough")


class Golden:
    """The hand-derived bytes under tests/golden, by name."""

    def __getitem__(self, name: str) -> bytes:
        """Read the hex of a file, leaving out what follows a #."""
        lines = (_GOLDEN / f"{name}.hex").read_text(encoding="utf-8").splitlines()
        return bytes.fromhex("".join(line.partition("#")[0] for line in lines))


@pytest.fixture(scope="session")
def golden() -> Golden:
    """Return the golden bytes by name."""
    return Golden()


@pytest.fixture(scope="session")
def traces_dir() -> Path:
    """Return where the recordings lie."""
    return Path(__file__).parents[1] / "traces"
