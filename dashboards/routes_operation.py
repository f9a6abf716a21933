"""For operators: is it well, what does it count, and what does the API look like."""

from collections import Counter
from collections.abc import Iterator

from anyio import to_thread
from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from dashboards.answers import json_answer, problem, problems
from dashboards.board import LiveBoard
from dashboards.context import House
from dashboards.models import Problem
from dashboards.rows import NO_DATA, Board
from dashboards.sessions import reader
from dashboards.stream import Broadcast
from registry.kinds import Level

router = APIRouter(tags=["operation"])


@router.get("/healthz", operation_id="getHealth", responses={503: {"model": Problem}})
async def healthz(house: House) -> Response:
    """200 once the service takes data and serves pages. Needs no sign-in."""
    complaint = house.health()
    if complaint is not None:
        return problem(503, complaint, {"retry-after": "1"})
    return json_answer({"status": "ok"})


@router.get(
    "/metrics", operation_id="getMetrics", response_class=Response, responses=problems(), dependencies=[Depends(reader)]
)
async def metrics(house: House) -> Response:
    """Counters of the whole process for Prometheus, by session or service token."""
    own = CollectorRegistry()
    own.register(_BoardGauges(house.board.snapshot(house.now_ms()), house.board))
    own.register(_StreamCounts(house.broadcast))
    own.register(_LinkRefusals(house.trips.links.refusals))
    text = await to_thread.run_sync(generate_latest, house.metrics) + generate_latest(own)
    return Response(text, media_type=CONTENT_TYPE_LATEST)


@router.get("/api/openapi.json", include_in_schema=False, dependencies=[Depends(reader)])
def openapi(request: Request) -> Response:
    """What this API takes and gives."""
    return json_answer(request.app.openapi())


class _BoardGauges:
    """The board in numbers, collected once."""

    def __init__(self, snapshot: Board, board: LiveBoard) -> None:
        self._snapshot = snapshot
        self._version = board.version

    def collect(self) -> Iterator[Metric]:
        """Gauges of packs by level, silent packs, and open alerts by level."""
        packs = Counter(row.level for row in self._snapshot.packs)
        alerts = Counter(row.level for row in self._snapshot.alerts)
        by_level = GaugeMetricFamily("packwatch_board_packs", "Packs shown, by level", labels=["level"])
        for level in (NO_DATA, *Level):
            by_level.add_metric([str(level)], packs[level])
        yield by_level
        silent = sum(row.silent for row in self._snapshot.packs)
        yield GaugeMetricFamily("packwatch_board_silent_packs", "Packs shown whose unit is silent", value=silent)
        open_alerts = GaugeMetricFamily("packwatch_board_open_alerts", "Alerts not closed, by level", labels=["level"])
        for level in Level:
            open_alerts.add_metric([str(level)], alerts[level])
        yield open_alerts


class _StreamCounts:
    """Who watches the live board."""

    def __init__(self, broadcast: Broadcast) -> None:
        self._broadcast = broadcast

    def collect(self) -> Iterator[Metric]:
        """Clients now, those that were dropped since they took nothing, and connections that were resumed."""
        name = "packwatch_stream"
        yield GaugeMetricFamily(f"{name}_clients", "Open live streams", value=self._broadcast.clients)
        yield CounterMetricFamily(f"{name}_stalled", "Streams dropped: nothing taken", value=self._broadcast.stalled)
        yield CounterMetricFamily(f"{name}_resumed", "Streams resumed without a hole", value=self._broadcast.resumed)


class _LinkRefusals:
    """What was tried with trip links that open nothing, or not that."""

    def __init__(self, refusals: Counter[str]) -> None:
        self._refusals = refusals

    def collect(self) -> Iterator[Metric]:
        """One counter, by reason."""
        refused = CounterMetricFamily("packwatch_trip_links_refused", "Trip links refused", labels=["reason"])
        for reason, count in self._refusals.items():
            refused.add_metric([reason], count)
        yield refused
