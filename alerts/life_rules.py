"""What the life of an alert goes by, read from `life.toml`: shelves, incidents, minimum times. Each row says why."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from registry.kinds import AlertKind, Level

Why = Annotated[str, Field(min_length=10)]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Reignition(_Row):
    """How long a pack is watched after a `critical` was closed."""

    days: float = Field(ge=14.0, le=365.0)
    why: Why


class Reopening(_Row):
    """For how long a closed incident below `critical` opens again; one of `critical` does for the re-ignition watch."""

    within_h: float = Field(ge=0.0, le=72.0)
    why: Why


class CoverageRule(_Row):
    """When nothing comes from a vehicle any more."""

    quiet_intervals: float = Field(ge=1.0, le=10.0)
    """Of its fastest unit."""
    why: Why


class InstrumentRule(_Row):
    """When a fault of a probe or tap is told, and when it is over."""

    after_s: float = Field(ge=0.0, le=86_400.0)
    why: Why
    well_for_s: float = Field(ge=0.0, le=86_400.0)
    well_why: Why


class ShelfLimit(_Row):
    """How long an alert of these kinds, levels and packs may be shelved."""

    kinds: tuple[AlertKind, ...]
    levels: tuple[Level, ...]
    packs: Literal["damaged", "any"]
    at_most_min: float = Field(ge=0.0, le=1440.0)
    """0: not at all."""
    why: Why


class Group(_Row):
    """To which incident alerts of these kinds belong, from a level on."""

    kinds: tuple[AlertKind, ...]
    from_level: Level
    cause: str
    by: tuple[Literal["vehicle", "shipment"], ...] = Field(min_length=1)
    """What its alerts have in common, the closest first."""
    title: str
    """`{where}`: the vehicle's name, or the shipment's id."""
    why: Why


class LifeRules(_Row):
    """The whole file."""

    reignition: Reignition
    reopening: Reopening
    coverage: CoverageRule
    instrument: InstrumentRule
    shelves: tuple[ShelfLimit, ...]
    groups: tuple[Group, ...]


def parse_life(text: str) -> LifeRules:
    """Raises ValueError (pydantic's, or TOML's) for what is not such a file."""
    return LifeRules.model_validate(tomllib.loads(text))


@cache
def shipped_life() -> LifeRules:
    """Those that come with the program."""
    return parse_life((files("alerts") / "life.toml").read_text())
