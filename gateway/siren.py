"""What siren and lamp in the cab do: a table, and who it is about. Pure: times and levels come in.

The siren sounds from `critical` on. The cab's button lowers it to a chirp and leaves the lamp on; any rise, and another
unit, bring the siren back. It ends when nothing is `critical` any more: that level latches, so a person released it.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from registry.kinds import Level
from telemetry.cab_report import CabAction

if TYPE_CHECKING:
    from collections.abc import Mapping

SOUNDS_FROM = Level.CRITICAL


class SirenState(StrEnum):
    """What is heard and seen."""

    QUIET = "quiet"
    SOUNDING = "sounding"
    """Siren and lamp."""
    LOWERED = "lowered"
    """A chirp, and the lamp: somebody in the cab has said so."""


class SirenEvent(StrEnum):
    """What happens to it."""

    ROSE = "rose"
    """A unit reached SOUNDS_FROM, or one that had rose on."""
    BUTTON = "button"
    OVER = "over"
    """No unit is at SOUNDS_FROM."""


class Sound(StrEnum):
    """What the siren is told; the words are those that its command gets."""

    OFF = "off"
    CHIRP = "chirp"
    SIREN = "siren"


TABLE: Final[Mapping[tuple[SirenState, SirenEvent], tuple[SirenState, CabAction | None]]] = MappingProxyType(
    {
        (SirenState.QUIET, SirenEvent.ROSE): (SirenState.SOUNDING, CabAction.SOUNDED),
        (SirenState.QUIET, SirenEvent.BUTTON): (SirenState.QUIET, None),
        (SirenState.QUIET, SirenEvent.OVER): (SirenState.QUIET, None),
        (SirenState.SOUNDING, SirenEvent.ROSE): (SirenState.SOUNDING, CabAction.ROSE),
        (SirenState.SOUNDING, SirenEvent.BUTTON): (SirenState.LOWERED, CabAction.ACKNOWLEDGED),
        (SirenState.SOUNDING, SirenEvent.OVER): (SirenState.QUIET, CabAction.ENDED),
        (SirenState.LOWERED, SirenEvent.ROSE): (SirenState.SOUNDING, CabAction.RESTORED),
        (SirenState.LOWERED, SirenEvent.BUTTON): (SirenState.LOWERED, None),
        (SirenState.LOWERED, SirenEvent.OVER): (SirenState.QUIET, CabAction.ENDED),
    }
)
"""Where each event leads, and what of it is told to the cloud. An event that is not here cannot happen."""
SOUND_OF: Final[Mapping[SirenState, tuple[Sound, bool]]] = MappingProxyType(
    {
        SirenState.QUIET: (Sound.OFF, False),
        SirenState.SOUNDING: (Sound.SIREN, True),
        SirenState.LOWERED: (Sound.CHIRP, True),
    }
)
"""Siren and lamp."""


class Siren:
    """One a vehicle. After a restart it sounds again for what stands: nobody knows who heard it."""

    def __init__(self) -> None:
        self.state = SirenState.QUIET
        self._levels: dict[str, Level] = {}
        """Of units at SOUNDS_FROM or above, as last looked at."""

    @property
    def alarmed(self) -> Mapping[str, Level]:
        """Units that it is about, and their levels."""
        return MappingProxyType(self._levels)

    def look(self, levels: Mapping[str, Level]) -> tuple[CabAction, dict[str, Level]] | None:
        """All units' levels now. What was done, and for which units; None = nothing new."""
        hot = {unit_id: level for unit_id, level in levels.items() if level.rank >= SOUNDS_FROM.rank}
        before, self._levels = self._levels, hot
        risen = {
            unit_id: level
            for unit_id, level in hot.items()
            if unit_id not in before or level.rank > before[unit_id].rank
        }
        if risen:
            return self._move(SirenEvent.ROSE, risen)
        return None if hot else self._move(SirenEvent.OVER, before)

    def press(self) -> tuple[CabAction, dict[str, Level]] | None:
        """The cab's button, or the driver's page on the vehicle's network."""
        return self._move(SirenEvent.BUTTON, self._levels)

    def _move(self, event: SirenEvent, units: Mapping[str, Level]) -> tuple[CabAction, dict[str, Level]] | None:
        self.state, action = TABLE[self.state, event]
        return None if action is None else (action, dict(units))
