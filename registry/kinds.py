"""The kinds that records are of. Their values are what the database, the API and the exports say."""

from __future__ import annotations

from enum import StrEnum


class Chemistry(StrEnum):
    """The cathode (or, for LFP and LMO, the family) of a pack's cells."""

    NMC = "nmc"
    NCA = "nca"
    LFP = "lfp"
    LMO = "lmo"
    UNKNOWN = "unknown"


class PackClass(StrEnum):
    """Why a pack travels, and which rules bind it: 49 CFR 173.185(f) for the last one."""

    MID_LIFE = "mid_life"
    END_OF_LIFE = "end_of_life"
    DAMAGED = "damaged_defective_recalled"


class Level(StrEnum):
    """How bad it is, mildest first."""

    NORMAL = "normal"
    WATCH = "watch"
    WARNING = "warning"
    CRITICAL = "critical"
    RUNAWAY = "runaway"

    @property
    def rank(self) -> int:
        """0 for normal, growing with severity; compare ranks, never the words."""
        return _RANKS[self]


_RANKS = {level: rank for rank, level in enumerate(Level)}


class AlertKind(StrEnum):
    """What an alert is about."""

    THERMAL = "thermal"
    """A pack is hot, or heats itself."""
    UNREGISTERED = "unregistered"
    """Heat at a unit that the registry does not know, or that watches no pack."""
    SILENCE = "silence"
    """A unit that should report does not."""
    COVERAGE = "coverage"
    """Nothing comes from a vehicle any more: its packs are guarded on board, unconfirmed here."""
    INSTRUMENT = "instrument"
    """A probe, or a tap, measures nonsense or nothing; its pack is judged by the others."""
    CAB = "cab"
    """The alarm's own equipment in a vehicle's cab is broken: siren, lamp, button, loop, power."""

    @property
    def calm(self) -> bool:
        """A notice about the watching, not about a pack: it never latches, and ends with its cause."""
        return self not in {AlertKind.THERMAL, AlertKind.UNREGISTERED}


class AlertState(StrEnum):
    """Where an alert is in its life. Which steps are legal is the alert engine's table."""

    RAISED = "raised"
    ACKNOWLEDGED = "acknowledged"
    CLEARED = "cleared"
    CLOSED = "closed"


class Role(StrEnum):
    """In which somebody is paged, acknowledges and acts."""

    DRIVER = "driver"
    """Or, for a dropped trailer, its guardian."""
    DISPATCHER = "dispatcher"
    SAFETY_LEAD = "safety lead"
    EMERGENCY_CONTACT = "emergency contact"


class IncidentState(StrEnum):
    """Whether people have an incident to deal with. It is open as long as one of its alerts is."""

    OPEN = "open"
    CLOSED = "closed"


class CallTo(StrEnum):
    """Whom a person called about an incident."""

    DRIVER = "driver"
    RESPONDERS = "911"
    """The 911 centre of the county, or one's own that transfers."""
    EMERGENCY_NUMBER = "emergency number"
    """The number on the shipping paper (49 CFR 172.604)."""


class CallOutcome(StrEnum):
    """What came of a call."""

    ANSWERED = "answered"
    NO_ANSWER = "no answer"
    LEFT_MESSAGE = "left message"


class ChannelKind(StrEnum):
    """What one measured column looks at."""

    CELL = "cell"
    MODULE = "module"
    PACK = "pack"
    PROBE = "probe"


class Quantity(StrEnum):
    """Which of a unit's two tables of columns a channel is in."""

    TEMPERATURE = "temperature"
    VOLTAGE = "voltage"
