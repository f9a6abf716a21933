"""What the pages need from the other rooms. The composition root hands in objects that fit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from registry.kinds import Role

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from dashboards.attachments import AttachmentFiles
    from dashboards.rows import Intake
    from registry.audit import Actor
    from registry.case_files import CaseFile
    from registry.enrolment import Enrolment
    from registry.incident_records import Incident
    from registry.kinds import CallOutcome, CallTo
    from registry.records import Alert, Pack
    from registry.response_kinds import Language, Situation, Stage
    from registry.roles import Hand
    from telemetry.samples import PositionFix, Provenance

FileFormat = Literal["csv", "parquet"]
Span = tuple[str, int, int]
"""A unit's data from a time up to, not including, another: (unit_id, start_ms, end_ms), UTC."""


class Band(Protocol):
    """Lowest, mean and highest value in each bucket: (p, C) or (p,), float32; NaN = nothing measured there."""

    @property
    def minimum(self) -> NDArray[np.float32]: ...
    @property
    def mean(self) -> NDArray[np.float32]: ...
    @property
    def maximum(self) -> NDArray[np.float32]: ...


class Series(Protocol):
    """One unit's history, as measured or reduced to buckets of equal length."""

    @property
    def at_ms(self) -> NDArray[np.int64]:
        """(p,) UTC, increasing: the samples' times when `raw`, otherwise where each bucket begins."""

    @property
    def raw(self) -> bool:
        """Every sample is here; minimum, mean and maximum are the same."""

    @property
    def temperatures_c(self) -> Band: ...
    @property
    def voltages_v(self) -> Band: ...
    @property
    def singles(self) -> Mapping[str, Band]:
        """(p,) by name of SINGLE_CHANNELS; only what was measured in the span."""

    @property
    def quality(self) -> NDArray[np.uint32]:
        """(p,) Quality bits of the bucket's samples, united."""

    @property
    def provenances(self) -> frozenset[Provenance]: ...


class HistoryReader(Protocol):
    """The telemetry store, read only. Methods block, may be called from any thread, and may overlap."""

    def latest_at(self, unit_id: str) -> int | None:
        """The time of the unit's newest sample, ms UTC; None without any."""

    def read(self, unit_id: str, start_ms: int, end_ms: int, points: int) -> Series:
        """One unit's history in at most `points` buckets; as measured when it has no more samples than that."""

    def positions(self, gateway_id: str, start_ms: int, end_ms: int) -> Sequence[PositionFix]:
        """Where a vehicle was, oldest first."""

    def hot_days(self, above_c: float, start_ms: int, end_ms: int, limit: int) -> Sequence[tuple[str, int, float]]:
        """Units' days (UTC) with a temperature above `above_c`, hottest first: unit, when the day begins, hottest degC.

        Days that begin in the span; they stay when their samples are deleted.
        """

    def export(self, spans: Sequence[Span], path: Path, file_format: FileFormat) -> object:
        """Write the spans' samples to `path`, ordered by time, in constant memory."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judged:
    """What the detector made of one unit's samples, or of the means of their buckets: n of them, T probes."""

    unit_id: str
    rules_version: int
    at_ms: NDArray[np.int64]
    """(n,) UTC."""
    levels: Sequence[str]
    """(n,) what the evidence holds; ceilings are apart."""
    expected_c: NDArray[np.float32]
    """(n, T) the median of the other probes and what is usual for this one; NaN = unknown."""
    above_others_c: NDArray[np.float32]
    """(n, T) how far the probe stands above that, smoothed."""
    above_others_sigmas: NDArray[np.float32]
    """(n, T) the same in what is usual between the probes of this pack."""


class Expectations(Protocol):
    """What the rules in force expect of each probe. Blocks, and may be called from any thread."""

    def judge(self, pack: Pack | None, span: Span, points: int) -> Judged:
        """Judge the span's samples once more, or at most so many means of them. `pack` None: nobody registered it."""


class EvidenceMaker(Protocol):
    """Makes what is taken away of an incident. Methods block, and may be called from any thread."""

    def make(self, incident_id: str, target: Path, *, by: Actor, now: datetime) -> None:
        """Write an evidence bundle. Raises NotFoundError."""

    def form(self, case: CaseFile, now: datetime) -> bytes:
        """A draft of form DOT F 5800.1 with what is known filled in, as PDF."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RerunResult:
    """What rules made of what was recorded."""

    rules_version: int
    rules_hash: str
    """SHA-256 of the rules, hexadecimal."""
    rules: str
    """The rules file."""
    outcome: str
    """JSON: each pack's changes of level, and what was raised in fact."""


class Rerunner(Protocol):
    """Judges an incident's recorded samples again. Blocks, and may be called from any thread."""

    def rerun(self, case: CaseFile, rules: str | None, start_ms: int, end_ms: int) -> RerunResult:
        """`rules`: a rules file; None: those in force. Raises RefusedError: they cannot be used; too many samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewHouse:
    """What reviews need beside the registry."""

    attachments: AttachmentFiles
    evidence: EvidenceMaker
    rerunner: Rerunner


class AlertDesk(Protocol):
    """Where people act on alerts. All return the alert as it is afterwards and have told the board by then.

    All raise NotFoundError, ConflictError (`version` is not the newest), and RefusedError (not a step of its life, or
    not one for this role).
    """

    async def acknowledge(
        self,
        alert_id: str,
        *,
        version: int,
        by: str,
        comment: str,
        now: datetime,
        role: Role = Role.DISPATCHER,
    ) -> Alert: ...

    async def close_alert(
        self,
        alert_id: str,
        *,
        version: int,
        by: str,
        reason: str,
        now: datetime,
        role: Role = Role.DISPATCHER,
        authority: str = "",
    ) -> Alert: ...

    async def shelve(
        self, alert_id: str, *, version: int, by: str, role: Role, reason: str, until: datetime, now: datetime
    ) -> Alert: ...

    async def unshelve(self, alert_id: str, *, version: int, by: str, role: Role, now: datetime) -> Alert: ...


class IncidentDesk(Protocol):
    """Where people act on incidents. All return the incident as it is afterwards, and raise as AlertDesk does."""

    async def take_on(self, incident_id: str, hand: Hand, *, version: int) -> Incident: ...

    async def hand_over(self, incident_id: str, hand: Hand, *, version: int, to: str) -> Incident: ...

    async def accept(self, incident_id: str, hand: Hand, *, version: int) -> Incident: ...

    async def decline(self, incident_id: str, hand: Hand, *, version: int) -> Incident: ...

    async def comment(self, incident_id: str, hand: Hand, text: str) -> Incident: ...

    async def call(self, incident_id: str, hand: Hand, *, to: CallTo, outcome: CallOutcome, note: str) -> Incident: ...

    async def note_place(self, incident_id: str, hand: Hand, text: str) -> Incident: ...

    async def close(self, incident_id: str, hand: Hand, *, version: int, reason: str, authority: str) -> Incident: ...


class IntakeMeter(Protocol):
    """Ingest's counters. Called from the event loop about once a second: it must not block."""

    def snapshot(self) -> Intake: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerLogin:
    """An account at the broker. The password stays out of logs and `repr`."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """How an enrolled unit and its gateway reach the broker."""

    fleet_id: str
    gateway: BrokerLogin
    unit: BrokerLogin
    mqtt_host: str
    mqtt_port: int


class Enroller(Protocol):
    """Registers what an enrolment names and opens broker accounts for it. Doing it again changes nothing."""

    async def enrol(self, enrolment: Enrolment) -> Enrolled:
        """Raises RefusedError or ConflictError, with the reason, for what may not be."""


class Phrases(Protocol):
    """What a driver is told: one sentence and one action for each stage, situation and language."""

    @property
    def version(self) -> int:
        """Grows with each change of a text."""

    @property
    def texts_hash(self) -> str:
        """SHA-256 over all texts, hexadecimal: what an approval names."""

    def said(self, stage: Stage, situation: Situation, language: Language) -> tuple[str, str]:
        """The sentence and the action. There are always both."""

    def is_draft(self, language: Language) -> bool:
        """Whether the language's texts still wait for a safety lead or a native speaker. For staff, not for drivers."""
