"""Rules that change while the service runs: the new ones hold at once, a bad file changes nothing, all is noted."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
from datetime import UTC, datetime

import pytest

from alerts.rules_file import shipped_rules
from alerts.rules_keeper import RulesKeeper
from registry.errors import UnavailableError
from registry.registry import Registry

NOW = datetime(2026, 3, 1, tzinfo=UTC)
WITHIN_S = 10.0


class Outage(Registry):
    away = False

    def add_rules_change(self, change):
        if self.away:
            raise UnavailableError("the database is busy")
        return super().add_rules_change(change)


@pytest.fixture
def registry(tmp_path):
    opened = Outage.open(f"sqlite:///{tmp_path / 'registry.db'}")
    yield opened
    opened.close()


class Stage:
    """A keeper that runs, and the rules that it handed on."""

    def __init__(self, keeper: RulesKeeper) -> None:
        self.keeper = keeper
        self.used = []

    async def until(self, condition) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not condition():
                await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def running(path, registry):
    stage = Stage(RulesKeeper(path=path, registry=registry, now=lambda: NOW, look_every_s=0.01))
    await stage.keeper.load()
    task = asyncio.create_task(stage.keeper.run(stage.used.append))
    yield stage
    task.cancel()
    await asyncio.wait([task])


def ceilings(rules):
    return [ceiling.at_c for ceiling in rules.ceilings]


def write(path, version, at_c, more=""):
    path.write_text(f"version = {version}\n{more}\n[ceilings.warning]\nat_c = {at_c}\n")


async def test_without_a_file_the_shipped_rules_hold_and_are_noted_once(tmp_path, registry):
    for _ in range(2):
        keeper = RulesKeeper(path=tmp_path / "rules.toml", registry=registry, now=lambda: NOW)
        assert await keeper.load() == shipped_rules()
        assert keeper.trouble is None
    (noted,) = registry.rules_changes()
    assert (noted.actor, noted.content_hash, noted.changes) == ("Packwatch", shipped_rules().content_hash, [])


async def test_a_file_that_appears_and_changes_holds_at_once_and_is_noted_with_who_when_and_what(tmp_path, registry):
    path = tmp_path / "rules.toml"
    async with running(path, registry) as stage:
        write(path, 2, 58)
        await stage.until(lambda: len(stage.used) == 1)
        write(path, 3, 56, "author = 'Ana'\nnote = 'hot summer'")
        await stage.until(lambda: len(registry.rules_changes()) == 3)
    assert [ceilings(loaded.rules) for loaded in stage.used] == [[58, 80], [56, 80]]
    third, second, _ = registry.rules_changes()
    assert (second.actor, second.version) == (f"owner of the file: {getpass.getuser()}", 2)
    assert second.changes == ["ceilings.warning.at_c: 60 -> 58"]
    assert (third.actor, third.note, third.at, third.source) == ("Ana", "hot summer", NOW, str(path))
    assert third.changes == ["ceilings.warning.at_c: 58 -> 56"]
    assert third.content == path.read_bytes()


async def test_a_bad_file_changes_nothing_is_counted_and_told_until_it_is_mended(tmp_path, registry):
    path = tmp_path / "rules.toml"
    write(path, 2, 58)
    async with running(path, registry) as stage:
        good = stage.keeper.in_force
        write(path, 3, 70)
        await stage.until(lambda: stage.keeper.refused == 1)
        assert "ceilings.warning.at_c is 70: allowed is a number from 45 to 60" in stage.keeper.trouble
        assert f"Rules {good.name} stay in force" in stage.keeper.trouble
        path.unlink()
        await stage.until(lambda: stage.keeper.refused == 2)
        assert "is gone" in stage.keeper.trouble
        assert stage.keeper.in_force == good
        write(path, 4, 57)
        await stage.until(lambda: stage.used)
    assert [ceilings(loaded.rules) for loaded in stage.used] == [[57, 80]]
    assert stage.keeper.trouble is None
    assert [change.version for change in registry.rules_changes()] == [4, 2]


async def test_a_bad_file_at_the_start_leaves_the_rules_of_the_last_change(tmp_path, registry):
    path = tmp_path / "rules.toml"
    write(path, 2, 58)
    await RulesKeeper(path=path, registry=registry).load()
    path.write_text("version = ")
    keeper = RulesKeeper(path=path, registry=registry)
    assert ceilings((await keeper.load()).rules) == [58, 80]
    assert "no TOML" in keeper.trouble
    assert len(registry.rules_changes()) == 1


async def test_a_bad_first_file_leaves_the_shipped_rules(tmp_path, registry):
    path = tmp_path / "rules.toml"
    path.write_text("version = ")
    keeper = RulesKeeper(path=path, registry=registry)
    assert await keeper.load() == shipped_rules()
    assert keeper.trouble is not None
    assert [change.actor for change in registry.rules_changes()] == ["Packwatch"]


async def test_a_change_is_noted_when_the_registry_is_back(tmp_path, registry):
    path = tmp_path / "rules.toml"
    write(path, 2, 58)
    async with running(path, registry) as stage:
        registry.away = True
        write(path, 3, 57)
        await stage.until(lambda: stage.used)
        write(path, 4, 56)
        await stage.until(lambda: len(stage.used) == 2)
        assert [change.version for change in registry.rules_changes()] == [2]
        registry.away = False
        await stage.until(lambda: len(registry.rules_changes()) == 3)
    assert [change.version for change in registry.rules_changes()] == [4, 3, 2]
