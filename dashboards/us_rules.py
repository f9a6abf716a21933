"""The facts of US rules that the pages show: read from one dated file, each with its paragraph."""

from __future__ import annotations

import tomllib
from datetime import date  # noqa: TC003  pydantic reads it
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from registry.kinds import PackClass

Text = Annotated[str, Field(min_length=1)]
PATH = Path(__file__).parent / "us_rules.toml"


class _Fact(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Condition(_Fact):
    """A question that somebody answers."""

    key: Text
    citation: Text
    question: Text


class NotAsked(_Fact):
    """A condition that cannot hold for batteries."""

    citation: Text
    why: Text


class Report(_Fact):
    """A report to an authority: due if any of its conditions holds."""

    key: Literal["telephone", "written"]
    title: Text
    citation: Text
    within_hours: Annotated[int, Field(gt=0)]
    runs_from: Literal["occurrence", "discovery"]
    how: Text
    asks: tuple[str, ...]


class SheetFact(_Fact):
    """A line of the emergency sheet."""

    key: Text
    text: Text
    citation: Text


class Packing(_Fact):
    """How packs of a class are packed."""

    text: Text
    citation: Text


class Sheet(_Fact):
    """What is on every emergency sheet."""

    facts: tuple[SheetFact, ...]
    packing: dict[PackClass, Packing]


class Calling(_Fact):
    """How help is called from afar."""

    driver_calls: Text
    number_known: Text
    ask_transfer: Text
    county_unknown: Text
    citation: Text


class UsRules(_Fact):
    """All of them."""

    as_of: date
    sources: Text
    checked_by: Text | None = None
    """The safety lead who held every fact against the rule's text of `checked_on`; None: a draft."""
    checked_on: date | None = None
    reports: tuple[Report, ...]
    conditions: tuple[Condition, ...]
    not_asked: tuple[NotAsked, ...]
    sheet: Sheet
    calling: Calling

    @model_validator(mode="after")
    def _asks_what_there_is(self) -> Self:
        keys = [each.key for each in self.conditions]
        asked = {key for report in self.reports for key in report.asks}
        if len(set(keys)) != len(keys) or asked != set(keys):
            raise ValueError(f"conditions and what reports ask differ: {sorted(asked ^ set(keys)) or keys}")
        if set(self.sheet.packing) != set(PackClass):
            raise ValueError("a class of packs has no packing")
        if (self.checked_by is None) != (self.checked_on is None):
            raise ValueError("checked_by and checked_on go together")
        return self


class UsRulesError(ValueError):
    """A file of facts that may not be used. One line a mistake."""


@cache
def us_rules(own: Path | None = None) -> UsRules:
    """The operator's `own` file where there is one, else the one that Packwatch brings along. Raises UsRulesError."""
    path = own if own is not None and own.exists() else PATH
    try:
        return UsRules.model_validate(tomllib.loads(path.read_text()))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsRulesError(f"{path}: it is no TOML: {error}") from error
    except ValidationError as error:
        lines = (f"{path}: {'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise UsRulesError("\n".join(lines)) from error
