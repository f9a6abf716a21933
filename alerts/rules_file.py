"""The rules as a TOML file: read, checked, and told apart from the rules before.

A key that is left out keeps the value that Packwatch ships (`shipped_rules`). A file with any mistake is refused
whole, and each mistake is named by file, key, what was found and what is allowed.
"""

from __future__ import annotations

import hashlib
import math
import tomllib
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model, model_validator

from alerts.detector.rules import default_rules, rules_from
from alerts.rules import Ceiling, Hysteresis, LeapRule, Rules, RunawayRule
from registry.kinds import Level
from registry.limits import PAYLOAD_KEPT_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic_core import ErrorDetails

FIGURES_MAY_DIFFER = 4.0
"""**Assumed**: a figure of the detector may be a quarter of the shipped one to four times it. It is there to catch a
wrong unit or decimal point; a ceiling holds whatever stands here."""
FILE_AT_MOST_BYTES = PAYLOAD_KEPT_BYTES
"""The whole file is kept with each change of the rules."""

_LOWERED = "a ceiling may be lowered, never raised"
_Word = Annotated[str, Field(min_length=1, max_length=200)]


class RulesError(ValueError):
    """A rules file that cannot be used. One line a mistake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedRules:
    """Rules with where they come from."""

    rules: Rules
    source: str
    """The file, for people."""
    version: int
    """The number that the file gives itself."""
    content_hash: str
    """SHA-256 of the file, hexadecimal."""
    author: str | None
    """Who wrote it, as the file says."""
    note: str | None
    """Why, as the file says."""
    values: Mapping[str, object]
    """Every value in force by its dotted key, the left-out ones included."""
    content: bytes
    """The file."""

    @property
    def name(self) -> str:
        """Short, for logs and pages."""
        return f"version {self.version} ({self.content_hash[:12]})"


class _Table(BaseModel):
    """A TOML table: every key known, every number finite, no text that would pass for a number."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class _WarningCeiling(_Table):
    """It may be lowered and may clear later, never the other way."""

    at_c: float = Field(default=60.0, ge=45.0, le=60.0, description=_LOWERED)
    clears_below_c: float = Field(default=55.0, ge=20.0, le=55.0)
    clears_after_s: float = Field(default=60.0, ge=60.0, le=86_400.0)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.clears_below_c >= self.at_c:
            raise ValueError(f"clears_below_c is {self.clears_below_c:g}: allowed is below at_c, {self.at_c:g}")
        return self


class _CriticalCeiling(_Table):
    """It latches: only a person ends what it raised."""

    at_c: float = Field(default=80.0, ge=50.0, le=80.0, description=_LOWERED)


class _Ceilings(_Table):
    warning: _WarningCeiling = _WarningCeiling()
    critical: _CriticalCeiling = _CriticalCeiling()

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.critical.at_c <= self.warning.at_c:
            raise ValueError(
                f"critical.at_c is {self.critical.at_c:g}: allowed is above warning.at_c, {self.warning.at_c:g}"
            )
        return self


class _Runaway(_Table):
    """The rule of GB 38031-2025, C.5.3.7: it may be made more sensitive, never less."""

    rate_c_per_s: float = Field(default=1.0, ge=0.2, le=1.0)
    longer_than_s: float = Field(default=3.0, ge=1.0, le=3.0)
    voltage_drop: float = Field(default=0.25, ge=0.05, le=0.25)
    reference_slice_s: float = Field(default=600.0, ge=60.0, le=3600.0)


class _Leap(_Table):
    """Which reading at a ceiling waits for the next one: fewer may, and less may confirm it; never the other way."""

    leap_c: float = Field(default=20.0, ge=20.0, le=4000.0)
    others_rise_c: float = Field(default=2.0, ge=0.5, le=2.0)
    voltage_fall_permille: float = Field(default=10.0, ge=2.5, le=10.0)


class _Gaps(_Table):
    """Across which gap between two readings a rate, or a stay below a ceiling, is still believed."""

    longest_intervals: float = Field(default=3.0, ge=2.0, le=10.0)
    longest_at_least_s: float = Field(default=30.0, ge=10.0, le=300.0)


class _Ordered(_Table):
    """Figures of which some must not be above others."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        for lower, upper in _NOT_ABOVE:
            found, most = getattr(self, lower, None), getattr(self, upper, None)
            if found is not None and most is not None and found > most:
                raise ValueError(f"{lower} is {found:g}: allowed is up to {upper}, {most:g}")
        return self


_NOT_ABOVE = (
    ("clear_sigmas", "strong_sigmas"),
    ("clear_at", "strong_at"),
    ("clear_sigma_hours", "strong_sigma_hours"),
    ("rise_clear_c", "rise_strong_c"),
    ("clear_ratio", "strong_ratio"),
    ("clear_hydrogen_ppm", "strong_hydrogen_ppm"),
    ("clear_carbon_monoxide_ppm", "strong_carbon_monoxide_ppm"),
    ("clear_voc_ppm", "strong_voc_ppm"),
    ("critical_c", "critical_any_c"),
)


def _table_like(name: str, shipped: Any) -> Any:
    """A table with the keys of the dataclass `shipped`, and around its figures."""
    columns: dict[str, Any] = {}
    for each in fields(shipped):
        value = getattr(shipped, each.name)
        if is_dataclass(value):
            inner = _table_like(f"{name}_{each.name}", value)
            columns[each.name] = (inner, inner())
        else:
            columns[each.name] = (type(value), Field(default=value, **_around(value)))
    return create_model(name, __base__=_Ordered, **columns)


def _around(value: float) -> dict[str, Any]:
    ends = sorted((value / FIGURES_MAY_DIFFER, value * FIGURES_MAY_DIFFER))
    if isinstance(value, int):
        return {"ge": max(1, math.floor(ends[0])), "le": math.ceil(ends[1])}
    return {"ge": ends[0], "le": ends[1]}


def _detector_tables() -> dict[str, Any]:
    """The detector's tables, with the shipped values as their defaults."""
    shipped = default_rules()
    tables = {each.name: getattr(shipped, each.name) for each in fields(shipped)}
    models = {name: _table_like(name, value) for name, value in tables.items() if is_dataclass(value)}
    by_class = {profile.pack_class.value: profile.caution for profile in shipped.profiles}
    by_chemistry = {profile.chemistry.value: profile.voltage_caution for profile in shipped.profiles}
    for name, factors in (("caution", by_class), ("voltage_caution", by_chemistry)):
        columns: dict[str, Any] = {key: (float, Field(default=value, ge=0.5, le=4.0)) for key, value in factors.items()}
        models[name] = create_model(name, __base__=_Table, **columns)
    return {name: (model, model()) for name, model in models.items()}


class _FixedRules(_Table):
    version: int = Field(ge=1, le=2**31 - 1)
    author: _Word | None = None
    note: Annotated[str, Field(max_length=1000)] | None = None
    ceilings: _Ceilings = _Ceilings()
    runaway: _Runaway = _Runaway()
    leap: _Leap = _Leap()
    gaps: _Gaps = _Gaps()


_RulesFile: Any = create_model("_RulesFile", __base__=_FixedRules, **_detector_tables())


def _rules(parsed: _FixedRules) -> Rules:
    warning, critical = parsed.ceilings.warning, parsed.ceilings.critical
    clears = Hysteresis(below_c=warning.clears_below_c, after_s=warning.clears_after_s)
    return Rules(
        ceilings=(
            Ceiling(level=Level.WARNING, at_c=warning.at_c, clears=clears),
            Ceiling(level=Level.CRITICAL, at_c=critical.at_c, clears=None),
        ),
        runaway=RunawayRule(**parsed.runaway.model_dump()),
        leap=LeapRule(**parsed.leap.model_dump()),
        longest_gap_intervals=parsed.gaps.longest_intervals,
        longest_gap_at_least_s=parsed.gaps.longest_at_least_s,
        detector=rules_from(parsed.model_dump()),
    )


def parse_rules(content: bytes, source: str) -> LoadedRules:
    """Read a rules file. Raises RulesError, which names `source` in every line."""
    try:
        if len(content) > FILE_AT_MOST_BYTES:
            raise RulesError(f"{source}: {len(content)} bytes are too many; at most {FILE_AT_MOST_BYTES} are read")
        table = tomllib.loads(content.decode())
        parsed = _RulesFile.model_validate(table)
    except UnicodeDecodeError as error:
        raise RulesError(f"{source}: it is no UTF-8 text, at byte {error.start}") from error
    except tomllib.TOMLDecodeError as error:
        raise RulesError(f"{source}: it is no TOML: {error}") from error
    except ValidationError as error:
        raise RulesError("\n".join(_mistake(source, found) for found in error.errors())) from error
    values = dict(_flat(parsed.model_dump(exclude={"version", "author", "note"})))
    return LoadedRules(
        rules=_rules(parsed),
        source=source,
        version=parsed.version,
        content_hash=hashlib.sha256(content).hexdigest(),
        author=parsed.author,
        note=parsed.note,
        values=values,
        content=content,
    )


@cache
def shipped_rules() -> LoadedRules:
    """The rules that Packwatch brings along."""
    return parse_rules((files("alerts.detector") / "rules.toml").read_bytes(), "the rules that Packwatch ships")


def changes_between(before: LoadedRules, after: LoadedRules) -> list[str]:
    """Each key whose value differs, as "key: before -> after"."""
    keys = sorted({*before.values, *after.values})
    missing = object()
    return [
        f"{key}: {_word(before.values.get(key, 'none'))} -> {_word(after.values.get(key, 'none'))}"
        for key in keys
        if before.values.get(key, missing) != after.values.get(key, missing)
    ]


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _mistake(source: str, found: ErrorDetails) -> str:
    key = ".".join(str(part) for part in found["loc"])
    limits = found.get("ctx", {})
    match found["type"]:
        case "missing":
            return f"{source}: {key} is missing: allowed is a whole number from 1 on, raised with each change"
        case "extra_forbidden":
            known = ", ".join(_known_beside(found["loc"]))
            return f"{source}: {key} is no key of the rules: allowed here are {known}"
        case "value_error":
            return f"{source}: {key}{'.' if key else ''}{limits['error']}"
        case _:
            return f"{source}: {key} is {_word(found['input'])}: allowed is {_allowed(found)}"


def _allowed(found: ErrorDetails) -> str:
    """What the key's field takes."""
    field = _field(found["loc"])
    bounds: dict[str, Any] = {}
    for rule in [] if field is None else field.metadata:
        for side in ("ge", "le", "max_length"):
            if hasattr(rule, side):
                bounds[side] = getattr(rule, side)
    if {"ge", "le"} <= bounds.keys():
        kind = "a whole number" if field is not None and field.annotation is int else "a number"
        words = f"{kind} from {_word(bounds['ge'])} to {_word(bounds['le'])}"
        return words if field.description is None else f"{words}: {field.description}"
    if found["type"] == "model_type":
        return "a table"
    return found["msg"][0].lower() + found["msg"][1:]


def _field(loc: tuple[int | str, ...]) -> Any:
    model: Any = _RulesFile
    field = None
    for part in loc:
        fields = getattr(model, "model_fields", {})
        if part not in fields:
            return None
        field = fields[part]
        model = field.annotation
    return field


def _known_beside(loc: tuple[int | str, ...]) -> list[str]:
    model: Any = _RulesFile
    for part in loc[:-1]:
        model = model.model_fields[part].annotation
    return list(model.model_fields)


def _word(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else repr(value) if isinstance(value, str) else str(value)
