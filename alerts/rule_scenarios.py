"""Rule tests as text: the course of a pack's sensors in words, and what the rules must say of it.

A course is pieces joined by commas: `25 for 1 h` holds, `to 65 in 10 min` goes there in a straight line, `gone for
5 min` is not measured. The first piece begins with a number. Times are `90 s`, `10 min`, `1 h 30 min`, `2 d`.

An expectation is `warning by 50 min`, `critical at 1 h` (within a report interval), `no watch before 2 h`, `normal at
the end`, or `never above watch`.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from alerts.engine import Engine
from registry.enrolment import Assignment
from registry.kinds import ChannelKind, Chemistry, Level, PackClass
from telemetry.samples import Provenance, ReceivedBatch, SampleBatch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

    from numpy.typing import NDArray

    from alerts.rules import Rules

SAMPLES_AT_MOST = 500_000
"""**Assumed**: of one test; two months at 10 s."""
_BATCH_ROWS = 60
_START_MS = 1_800_000_000_000
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_NUMBER = r"-?\d+(?:\.\d+)?"
_TIME = re.compile(rf"(?:{_NUMBER} ?(?:s|min|h|d)\b ?)+")
_PIECE = re.compile(rf"(?:(?P<hold>{_NUMBER}|gone) for|to (?P<ramp>{_NUMBER}) in) (?P<time>{_TIME.pattern})")
_Single = Annotated[str, Field(pattern="^(ambient_c|hydrogen_ppm|carbon_monoxide_ppm|voc_ppm)$")]
_LEVELS = "|".join(Level)
_RAISED = "|".join(level for level in Level if level.rank)
_EXPECTATIONS = (
    re.compile(rf"(?P<rise>{_RAISED}) by (?P<time>{_TIME.pattern})"),
    re.compile(rf"(?P<exact>{_LEVELS}) at (?P<time>{_TIME.pattern})"),
    re.compile(rf"no (?P<early>{_RAISED}) before (?P<time>{_TIME.pattern})"),
    re.compile(rf"(?P<last>{_LEVELS}) at the end"),
    re.compile(rf"never above (?P<most>{_LEVELS})"),
)


class ScenarioError(ValueError):
    """A file of rule tests that cannot be read. It names file, test, and what is allowed."""


class _Test(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: Annotated[str, Field(min_length=1)]
    pack_class: PackClass = PackClass.MID_LIFE
    chemistry: Chemistry = Chemistry.NMC
    every_s: float = Field(default=10.0, ge=0.1, le=86_400.0)
    probes: int = Field(default=4, ge=1, le=1024)
    temperatures_c: dict[str, str]
    voltages: int = Field(default=0, ge=0, le=1024)
    voltages_v: dict[str, str] = {}
    singles: dict[_Single, str] = {}
    noise_c: float = Field(default=0.0, ge=0.0, le=10.0)
    resolution_c: float = Field(default=0.0, ge=0.0, le=5.0)
    seed: int = 0
    expect: Annotated[list[str], Field(min_length=1)]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    test: Annotated[list[_Test], Field(min_length=1)]


class ExpectationKind(StrEnum):
    """What is said of a level."""

    RISE = "rise"
    """It, or a higher one, comes by a time."""
    EXACT = "exact"
    """It begins at a time."""
    EARLY = "early"
    """Neither it nor a higher one comes before a time."""
    LAST = "last"
    """It is the last."""
    MOST = "most"
    """None is higher."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """One sentence about the course of the level."""

    text: str
    kind: ExpectationKind
    level: Level
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RuleTest:
    """A course of a pack's sensors, and what the rules must say."""

    name: str
    assignment: Assignment
    every_s: float
    columns: dict[str, NDArray[np.float32]]
    """`temperatures_c` (N, T), `voltages_v` (N, V), and the single sensors (N,)."""
    expectations: tuple[Expectation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleTestResult:
    """What the rules said."""

    name: str
    levels: tuple[tuple[float, Level], ...]
    """Each change: s since the course began, and the level from then on."""
    reasons: tuple[str, ...]
    """Of each change, in words."""
    failures: tuple[str, ...]
    """Expectations that were not met, in words; none = it passed."""


def shipped_tests() -> list[Traversable]:
    """The files of rule tests that Packwatch brings along."""
    folder = files("alerts") / "rules_tests"
    return sorted((each for each in folder.iterdir() if each.name.endswith(".toml")), key=lambda each: each.name)


def parse_rule_tests(text: str, source: str) -> tuple[RuleTest, ...]:
    """Read a file of rule tests. Raises ScenarioError."""
    try:
        parsed = _File.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{source}: it is no TOML: {error}") from error
    except ValidationError as error:
        keys = [(".".join(str(part) for part in found["loc"]), found["msg"]) for found in error.errors()]
        raise ScenarioError("\n".join(f"{source}: {key}: {message}" for key, message in keys)) from error
    return tuple(_rule_test(each, f"{source}: test {each.name!r}") for each in parsed.test)


def run_rule_test(test: RuleTest, rules: Rules) -> RuleTestResult:
    """Run a course through an engine of its own, and compare."""
    engine = Engine(rules)
    engine.assign([test.assignment])
    changes = [change for received in _batches(test) for change in engine.observe([received])]
    levels = tuple(((change.sampled_at_ms - _START_MS) / 1000, change.level) for change in changes)
    ends_s = (len(test.columns["temperatures_c"]) - 1) * test.every_s
    failures = (_failure(each, levels, ends_s, test.every_s) for each in test.expectations)
    return RuleTestResult(
        name=test.name,
        levels=levels,
        reasons=tuple("; ".join(change.reasons) for change in changes),
        failures=tuple(failure for failure in failures if failure is not None),
    )


def parse_time(text: str) -> float:
    """`1 h 30 min` in s. Raises ValueError."""
    if not _TIME.fullmatch(text):
        raise ValueError(f"{text!r} is no time: allowed are 90 s, 10 min, 1 h 30 min, 2 d")
    parts = re.findall(rf"({_NUMBER}) ?(s|min|h|d)\b", text)
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def parse_course(text: str, every_s: float) -> NDArray[np.float32]:
    """(N,) of a course, a sample each `every_s` from its beginning up to, not including, its end. Raises ValueError."""
    ends_s, firsts, lasts = [0.0], [], []
    value: float | None = None
    for piece in (part.strip() for part in text.split(",")):
        match = _PIECE.fullmatch(piece)
        if match is None or (match["ramp"] and value is None):
            raise ValueError(
                f"{piece!r} is no piece of a course: allowed are `25 for 1 h`, then `to 65 in 10 min`, `gone for 5 min`"
            )
        ends_s.append(ends_s[-1] + parse_time(match["time"]))
        if match["ramp"]:
            firsts.append(value)
            value = float(match["ramp"])
            lasts.append(value)
        elif match["hold"] == "gone":
            firsts.append(np.nan)
            lasts.append(np.nan)
        else:
            value = float(match["hold"])
            firsts.append(value)
            lasts.append(value)
    samples = round(ends_s[-1] / every_s)
    if not 1 <= samples <= SAMPLES_AT_MOST:
        raise ValueError(f"{samples} samples: allowed are 1 to {SAMPLES_AT_MOST}")
    at_s = np.arange(samples) * every_s
    piece_of = np.clip(np.searchsorted(ends_s, at_s, side="right") - 1, 0, len(firsts) - 1)
    begins_s, lengths_s = np.array(ends_s)[piece_of], np.diff(ends_s)[piece_of]
    first, last = np.array(firsts, float)[piece_of], np.array(lasts, float)[piece_of]
    return np.asarray(first + (last - first) * (at_s - begins_s) / lengths_s, np.float32)


def _rule_test(parsed: _Test, where: str) -> RuleTest:
    try:
        courses = {name: parse_course(text, parsed.every_s) for name, text in parsed.singles.items()}
        temperatures = _table(parsed.temperatures_c, parsed.probes, parsed.every_s, "temperatures_c", courses)
        voltages = _table(parsed.voltages_v, parsed.voltages, parsed.every_s, "voltages_v", courses)
        expectations = tuple(_expectation(text) for text in parsed.expect)
    except ValueError as error:
        raise ScenarioError(f"{where}: {error}") from error
    noise = np.random.default_rng(parsed.seed).normal(0.0, 1.0, temperatures.shape)
    temperatures = temperatures + np.float32(parsed.noise_c) * noise.astype(np.float32)
    if parsed.resolution_c:
        temperatures = np.round(temperatures / np.float32(parsed.resolution_c)) * np.float32(parsed.resolution_c)
    if not parsed.voltages:
        voltages = np.zeros((len(temperatures), 0), np.float32)
    return RuleTest(
        name=parsed.name,
        assignment=_assignment(parsed),
        every_s=parsed.every_s,
        columns={"temperatures_c": temperatures, "voltages_v": voltages, **courses},
        expectations=expectations,
    )


def _table(
    texts: dict[str, str], channels: int, every_s: float, name: str, others: dict[str, NDArray[np.float32]]
) -> NDArray[np.float32]:
    """(N, C) of the courses by channel number from 1; `others` = all that are not named. All are equally long."""
    known = {"others", *(str(number) for number in range(1, channels + 1))}
    if unknown := sorted(texts.keys() - known):
        raise ValueError(f"{name}.{unknown[0]} is no channel: allowed are 1 to {channels}, and others")
    if channels and "others" not in texts and len(texts) < channels:
        missing = next(number for number in range(1, channels + 1) if str(number) not in texts)
        raise ValueError(f"{name} does not say what {missing} does: name it, or others")
    courses = {key: parse_course(text, every_s) for key, text in texts.items()}
    lengths = {len(course) for course in [*courses.values(), *others.values()]}
    if len(lengths) > 1:
        raise ValueError(f"{name} and its like are {', '.join(map(str, sorted(lengths)))} samples long: allowed is one")
    columns = [courses.get(str(number), courses.get("others")) for number in range(1, channels + 1)]
    return np.stack([column for column in columns if column is not None], axis=1) if columns else np.zeros((0, 0), "f4")


def _expectation(text: str) -> Expectation:
    for pattern in _EXPECTATIONS:
        match = pattern.fullmatch(text.strip())
        if match is not None:
            found: dict[str, Any] = match.groupdict()
            at_s = parse_time(found.pop("time")) if "time" in found else 0.0
            ((kind, level),) = found.items()
            return Expectation(text=text.strip(), kind=ExpectationKind(kind), level=Level(level), at_s=at_s)
    raise ValueError(
        f"expect {text!r} says nothing: allowed are `warning by 50 min`, `critical at 1 h`, `no watch before 2 h`, "
        "`normal at the end`, `never above watch`"
    )


def _failure(
    expectation: Expectation, levels: tuple[tuple[float, Level], ...], ends_s: float, every_s: float
) -> str | None:
    rank = expectation.level.rank
    first_s = next((at_s for at_s, level in levels if level.rank >= rank), None)
    last = levels[-1][1] if levels else Level.NORMAL
    peak = max((level for _, level in levels), key=lambda level: level.rank, default=Level.NORMAL)
    said = "it never came" if first_s is None else f"it came at {_words(first_s)}"
    match expectation.kind:
        case ExpectationKind.RISE:
            met = first_s is not None and first_s <= expectation.at_s
        case ExpectationKind.EXACT:
            times = [at_s for at_s, level in levels if level is expectation.level]
            met = any(abs(at_s - expectation.at_s) <= every_s for at_s in times)
            said = f"it came at {' and '.join(map(_words, times))}" if times else "it never came"
        case ExpectationKind.EARLY:
            met = first_s is None or first_s >= expectation.at_s
        case ExpectationKind.LAST:
            met, said = last is expectation.level, f"it is {last} at {_words(ends_s)}"
        case ExpectationKind.MOST:
            met = peak.rank <= rank
            at_s = next((at_s for at_s, level in levels if level is peak), 0.0)
            said = f"{peak} came at {_words(at_s)}"
    return None if met else f"{expectation.text}: {said}"


def _words(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:g} s"
    minutes, rest_s = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{hours:.0f} h"] * bool(hours) + [f"{minutes:.0f} min"] * bool(minutes) + [f"{rest_s:g} s"] * bool(rest_s)
    return " ".join(parts)


def _batches(test: RuleTest) -> Iterator[ReceivedBatch]:
    rows = len(test.columns["temperatures_c"])
    at_ms = _START_MS + np.rint(np.arange(rows) * test.every_s * 1000).astype(np.int64)
    for number, first in enumerate(range(0, rows, _BATCH_ROWS)):
        span = slice(first, first + _BATCH_ROWS)
        columns: dict[str, Any] = {name: column[span] for name, column in test.columns.items()}
        batch = SampleBatch(
            unit_id=test.assignment.unit_id,
            boot_id="1",
            frame=number,
            provenance=Provenance.MEASURED,
            sampled_at_ms=at_ms[span],
            time_uncertainty_s=0.0,
            **columns,
        )
        yield ReceivedBatch(
            batch=batch, fleet_id="fleet", gateway_id="gateway", received_at_ms=int(batch.sampled_at_ms[-1])
        )


def _assignment(parsed: _Test) -> Assignment:
    return Assignment(
        unit_id="unit",
        pack_id="pack",
        chemistry=parsed.chemistry,
        pack_class=parsed.pack_class,
        series_count=None,
        capacity_ah=None,
        max_operating_temperature_c=None,
        gateway_id="gateway",
        vehicle_id=None,
        vehicle_name=None,
        fleet_id="fleet",
        report_interval_s=parsed.every_s,
        simulated=False,
        temperature_labels=(),
        voltage_kinds=(ChannelKind.CELL,) * parsed.voltages,
    )
