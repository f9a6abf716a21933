"""Registries on SQLite, copied ready-made; a clock that tests move."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from registry.registry import Registry

from paging_stage import Clock, Road

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("registry") / "registry.sqlite"
    Registry.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture
def registry(tmp_path: Path, empty_registry: Path) -> Iterator[Registry]:
    shutil.copy(empty_registry, tmp_path / "registry.sqlite")
    opened = Registry.open(f"sqlite:///{tmp_path / 'registry.sqlite'}")
    yield opened
    opened.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def road(registry: Registry, clock: Clock) -> Road:
    made = Road(registry, clock)
    made.enrol("pack-1")
    made.enrol("pack-2")
    return made
