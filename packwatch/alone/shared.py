"""What several of them open."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog
from prometheus_client import REGISTRY

from ingest.service import IngestService
from registry.registry import Registry

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Sequence

    from ingest.service import BatchListener, CabListener, OnBoardListener
    from packwatch.directory import Directory
    from packwatch.settings import Settings
    from registry.records import MissingSamples, QuarantineEntry


async def open_registry(settings: Settings, house: contextlib.AsyncExitStack) -> Registry:
    registry = await asyncio.to_thread(Registry.open, settings.registry_address())
    house.callback(registry.close)
    return registry


def guest_stream(
    settings: Settings,
    directory: Directory,
    listeners: Sequence[BatchListener],
    on_board: Sequence[OnBoardListener] = (),
    cab: CabListener | None = None,
) -> IngestService:
    """The decoded stream for a service that stores nothing: the same ingest, as a guest beside the primary host."""
    return IngestService(
        settings.mqtt.access(),
        host_id=settings.host_id,
        groups=settings.groups,
        store=None,
        directory=directory,
        quarantine=_Refusals(),
        listeners=listeners,
        on_board_listeners=on_board,
        cab_listener=cab,
        primary=False,
        metrics=REGISTRY,
    )


class _Refusals:
    """What a guest refuses, the primary host refuses too, and keeps."""

    def add_quarantine(self, entries: Sequence[QuarantineEntry]) -> None:
        structlog.get_logger("packwatch").debug("refused_by_guest", entries=len(entries))

    def add_missing_samples(self, records: Sequence[MissingSamples]) -> int:
        return len(records)
