"""What came of the alerts, for bench/alerts.py: when each page was where, what was lost, and what came twice."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from registry.kinds import Level
from registry.paging_kinds import Channel, PageKind, PageState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from registry.paging_records import Page
    from registry.registry import Registry

    from receivers import Browser

CHANNELS = {Channel.PUSH: "push", Channel.EMAIL: "mail", Channel.WEBHOOK: "hook"}
STAGES = ("raised", "planned", "taken", "arrived")
"""From the sample's publishing to the engine's step; to the plan that found it in the registry; to the sender, who took
the page from the outbox; to the receiver."""


@dataclass(frozen=True, kw_only=True)
class Arrivals:
    """What the receivers noted."""

    times_s: dict[tuple[str, str], list[float]]
    """When each message came, by channel and message."""
    keys: dict[str, int]
    """How often each page came to the webhook."""

    @classmethod
    def read(cls, log: Path, browser: Browser) -> Arrivals:
        times_s: dict[tuple[str, str], list[float]] = {}
        keys: dict[str, int] = {}
        for line in log.read_text().splitlines():
            arrival = json.loads(line)
            kind, what = arrival["kind"], arrival["what"]
            if kind == "hook":
                told = json.loads(what)
                message = told["id"]
                for event in told["events"]:
                    keys[event["key"]] = keys.get(event["key"], 0) + 1
            elif kind == "push":
                message = browser.decrypt(base64.b64decode(what))["id"]
            else:
                message = re.search(r"Message-ID: <([0-9a-f]{32})@", what, re.IGNORECASE)[1]  # type: ignore[index]
            times_s.setdefault((kind, message), []).append(arrival["at_s"])
        return cls(times_s=times_s, keys=keys)

    def first_s(self, page: Page | None, channel: Channel) -> float | None:
        """When the page's message came first."""
        times = self.times_s.get((CHANNELS[channel], (page.message_id or "") if page else ""))
        return min(times) if times else None

    def twice(self) -> int:
        """Messages and pages that came more than once."""
        return sum(count > 1 for count in self.keys.values()) + sum(len(times) > 1 for times in self.times_s.values())


def first_pages(registry: Registry, packs: Collection[str]) -> dict[tuple[str, Channel], Page]:
    """Of each pack, the first page on each channel that speaks of it."""
    by_case: dict[str, list[Page]] = {}
    for page in sorted(registry.pages(limit=1_000_000), key=lambda each: each.due_at):
        if page.case_id is not None and page.kind is not PageKind.DRILL:
            by_case.setdefault(page.case_id, []).append(page)
    named = re.compile(r"\bp\d+-\d+\b")
    found: dict[tuple[str, Channel], Page] = {}
    for pages in by_case.values():
        for page in pages:
            for pack in named.findall(page.reason):
                if pack in packs:
                    found.setdefault((pack, page.channel), page)
    return found


def first_critical(registry: Registry) -> dict[str, tuple[float, float]]:
    """When each pack's first critical sample was published, which is how the bench dates it, and the alert's step."""
    found = {}
    for alert in registry.alerts(limit=1_000_000):
        for event in registry.alert_events(alert.alert_id):
            if event.level.rank >= Level.CRITICAL.rank and event.sampled_at is not None and alert.pack_id is not None:
                found.setdefault(alert.pack_id, (event.sampled_at.timestamp(), event.at.timestamp()))
    return found


def waits(registry: Registry, came: Arrivals, packs: Collection[str]) -> dict[str, Any]:
    """From each critical sample to each receiver, and how much of it went where, s."""
    rows = list(_times(registry, came, packs))
    times_s = np.array([row for row in rows if row is not None])
    result: dict[str, Any] = {"notified": len(times_s), "not_notified": sum(row is None for row in rows)}
    if not len(times_s):
        return result | {"notify_p50_s": None, "notify_p99_s": None, "notify_max_s": None}
    whole = times_s[:, -1] - times_s[:, 0]
    result |= {
        "notify_p50_s": round(float(np.percentile(whole, 50)), 3),
        "notify_p99_s": round(float(np.percentile(whole, 99)), 3),
        "notify_max_s": round(float(whole.max()), 3),
    }
    for number, (before, after) in enumerate(pairwise(range(times_s.shape[1]))):
        took = times_s[:, after] - times_s[:, before]
        result[f"{STAGES[number]}_p50_s"] = round(float(np.percentile(took, 50)), 3)
        result[f"{STAGES[number]}_p99_s"] = round(float(np.percentile(took, 99)), 3)
    return result


def _times(registry: Registry, came: Arrivals, packs: Collection[str]) -> Iterator[tuple[float, ...] | None]:
    """Of each pack on each channel, when it was published, raised, planned, taken and there; None: it never was."""
    critical, pages = first_critical(registry), first_pages(registry, packs)
    for pack in packs:
        for channel in CHANNELS:
            page = pages.get((pack, channel))
            arrived_s = came.first_s(page, channel)
            if page is None or arrived_s is None:
                yield None
                continue
            taken = next(
                event.at.timestamp() for event in registry.page_events(page.key) if event.state is PageState.HANDED_OVER
            )
            yield (*critical[pack], page.created_at.timestamp(), taken, arrived_s)


def storm(registry: Registry, came: Arrivals, packs: Collection[str]) -> dict[str, Any]:
    """What was lost, and what came twice: of each pack on each channel."""
    pages = first_pages(registry, packs)
    all_pages = registry.pages(limit=1_000_000)
    return {
        "alerts": len(packs),
        "lost": sum(
            came.first_s(pages.get((pack, channel)), channel) is None for pack in packs for channel in CHANNELS
        ),
        "twice": came.twice(),
        "pages": len(all_pages),
        "messages": len(came.times_s),
        "failed": sum(page.state is PageState.FAILED for page in all_pages),
    }
