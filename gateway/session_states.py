"""The states of a Sparkplug edge node's session, as a table. Source: Sparkplug 3.0, chapter 5."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class SessionState(StrEnum):
    """Where the session stands."""

    OFFLINE = "offline"
    CONNECTING = "connecting"
    WAITING = "waiting"
    """Connected and subscribed; the primary host is not known to be online."""
    BORN = "born"


class SessionEvent(StrEnum):
    """What moves it."""

    CONNECT = "connect"
    CONNECTED = "connected"
    HOST_ONLINE = "host_online"
    HOST_OFFLINE = "host_offline"
    REBIRTH = "rebirth"
    LOST = "lost"
    STOP = "stop"


class SessionAct(StrEnum):
    """What the node does on the way."""

    NOTHING = "nothing"
    BIRTH = "birth"
    DIE = "die"


_S, _E, _A = SessionState, SessionEvent, SessionAct
TRANSITIONS: Final[Mapping[tuple[SessionState, SessionEvent], tuple[SessionState, SessionAct]]] = {
    (_S.OFFLINE, _E.CONNECT): (_S.CONNECTING, _A.NOTHING),
    (_S.OFFLINE, _E.LOST): (_S.OFFLINE, _A.NOTHING),
    (_S.OFFLINE, _E.STOP): (_S.OFFLINE, _A.NOTHING),
    # A node that died on purpose reads what its host still said until the connection is closed.
    (_S.OFFLINE, _E.HOST_ONLINE): (_S.OFFLINE, _A.NOTHING),
    (_S.OFFLINE, _E.HOST_OFFLINE): (_S.OFFLINE, _A.NOTHING),
    (_S.OFFLINE, _E.REBIRTH): (_S.OFFLINE, _A.NOTHING),
    (_S.CONNECTING, _E.CONNECTED): (_S.WAITING, _A.NOTHING),
    (_S.CONNECTING, _E.LOST): (_S.OFFLINE, _A.NOTHING),
    (_S.CONNECTING, _E.STOP): (_S.OFFLINE, _A.NOTHING),
    (_S.WAITING, _E.HOST_ONLINE): (_S.BORN, _A.BIRTH),
    # The standard sends a node on to the next server when the host is offline. There is one server: a node that was not
    # born yet waits here, instead of connecting again and again to be told the same by the retained STATE.
    (_S.WAITING, _E.HOST_OFFLINE): (_S.WAITING, _A.NOTHING),
    (_S.WAITING, _E.REBIRTH): (_S.WAITING, _A.NOTHING),
    (_S.WAITING, _E.LOST): (_S.OFFLINE, _A.NOTHING),
    (_S.WAITING, _E.STOP): (_S.OFFLINE, _A.DIE),
    (_S.BORN, _E.HOST_ONLINE): (_S.BORN, _A.NOTHING),
    (_S.BORN, _E.HOST_OFFLINE): (_S.OFFLINE, _A.DIE),
    (_S.BORN, _E.REBIRTH): (_S.BORN, _A.BIRTH),
    (_S.BORN, _E.LOST): (_S.OFFLINE, _A.NOTHING),
    (_S.BORN, _E.STOP): (_S.OFFLINE, _A.DIE),
}


class IllegalTransitionError(RuntimeError):
    """The caller reported an event that cannot happen in this state. Nothing changed."""
