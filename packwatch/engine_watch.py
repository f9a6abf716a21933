"""Whether the alert engine lives, for pages in another process: they show NO DATA where nothing is evaluated."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import aiomqtt
import orjson
import structlog

from alerts.rules_keeper import RulesStatus
from packwatch.publishing import BrokerAwayError
from telemetry.mqtt import mqtt_client

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dashboards.board import LiveBoard
    from ingest.service import IngestService
    from packwatch.publishing import Publisher
    from telemetry.broker import BrokerAccess
    from telemetry.samples import PositionFix, ReceivedBatch

BEAT_S = 5.0
ALIVE_S = 20.0
"""An engine that said nothing for so long evaluates nothing: three beats may be lost. The page goes grey 60 s later."""
ALL_FLEETS = "*"
_RETRY_S = 1.0


def beat_topic(fleet_id: str) -> str:
    """Where the engine of a fleet says that it lives; `all` for an engine of every fleet."""
    return f"packwatch/engine/{'all' if fleet_id == ALL_FLEETS else fleet_id}"


async def beat(
    publisher: Publisher, stream: IngestService, fleets: Sequence[str], rules: Callable[[], RulesStatus]
) -> None:
    """Say every few seconds that the engine lives, and by which rules, as long as it gets the stream."""
    while True:
        if stream.counters.broker_ok:
            for fleet_id in fleets or (ALL_FLEETS,):
                at_ms = time.time_ns() // 1_000_000
                message = orjson.dumps({"fleet_id": fleet_id, "at_ms": at_ms, "rules": rules()})
                try:
                    await publisher.publish(beat_topic(fleet_id), message, retain=False)
                except (BrokerAwayError, aiomqtt.MqttError):
                    break  # the publisher logs it, and the pages go grey, as they must
        await asyncio.sleep(BEAT_S)


class EngineWatch:
    """Hands the stream to the board only while an engine evaluates it: a listener of ingest's stream."""

    def __init__(self, access: BrokerAccess, board: LiveBoard) -> None:
        self._access = access
        self._board = board
        self._heard_s: dict[str, float] = {}
        self._rules: RulesStatus | None = None
        self._log = structlog.get_logger("packwatch.engine_watch")

    def observe(self, batches: Sequence[ReceivedBatch]) -> None:
        """As ingest's BatchListener."""
        self._board.observe([received for received in batches if self._is_evaluated(received.fleet_id)])

    def observe_positions(self, fixes: Sequence[PositionFix]) -> None:
        """As ingest's BatchListener: where a vehicle is needs no evaluation."""
        self._board.observe_positions(fixes)

    def trouble(self) -> str | None:
        """Why nothing is evaluated; None while some engine lives."""
        if any(time.monotonic() - heard_s < ALIVE_S for heard_s in self._heard_s.values()):
            return None
        return "no alert engine is heard: start `packwatch alerts`"

    def rules(self) -> RulesStatus | None:
        """By which rules the engine that was heard last goes; None before the first."""
        return self._rules

    async def run(self) -> None:
        """Listen for engines until cancelled."""
        while True:
            try:
                async with mqtt_client(self._access) as client:
                    await client.subscribe("packwatch/engine/+", qos=0)
                    async for message in client.messages:
                        self._heard_s[message.topic.value] = time.monotonic()
                        self._rules = _rules_in(message.payload) or self._rules
            except aiomqtt.MqttError as error:
                task = asyncio.current_task()
                if task is not None and task.cancelling():  # the farewell failed: that is no reason to stay
                    raise asyncio.CancelledError from error
                self._log.warning("engine_watch_disconnected", reason=str(error))
            await asyncio.sleep(_RETRY_S)

    def _is_evaluated(self, fleet_id: str) -> bool:
        heard_s = max(self._heard_s.get(beat_topic(each), -ALIVE_S) for each in (fleet_id, ALL_FLEETS))
        return time.monotonic() - heard_s < ALIVE_S


def _rules_in(beat_message: object) -> RulesStatus | None:
    """What a beat says of the rules; None when it says nothing that can be read."""
    try:
        told = orjson.loads(beat_message if isinstance(beat_message, bytes) else b"")["rules"]
        return RulesStatus(in_force=str(told["in_force"]), trouble=told["trouble"], refused=int(told["refused"]))
    except (ValueError, KeyError, TypeError):
        return None
