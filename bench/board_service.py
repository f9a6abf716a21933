"""The pages over a board of many vehicles that report every 10 s, as a process of its own, for bench/dashboards.py.

Prints one JSON line with its address, the one-time link of the first account and the service token, then serves until
it is terminated. Samples are put on the board as ingest's listener would, with the time at which they were taken.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import socket
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import rooms_first  # noqa: F401 - before the rooms
import uvicorn
from prometheus_client import CollectorRegistry

from alerts.incidents import IncidentDesk
from dashboards.accounts import ensure_administrator
from dashboards.app import create_app
from dashboards.board import LiveBoard
from ingest.stores.contract import StoreError
from ingest.stores.duckdb import DuckDBStore
from packwatch.garbage import look_for_cycles_rarely
from packwatch.history import PagesHistory
from packwatch.phrases import TablePhrases
from registry.enrolment import Assignment
from registry.kinds import ChannelKind, Chemistry, PackClass
from registry.registry import Registry
from telemetry.samples import PositionFix, Provenance, ReceivedBatch, SampleBatch

INTERVAL_S = 10.0
STEP_S = 0.1
PROBES, CELLS = 16, 8
TOKEN = "the token of this bench"  # noqa: S105 - it guards nothing


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Fleet:
    """Vehicles with one pack each. Every tenth of a second a hundredth of them reports."""

    def __init__(self, board: LiveBoard, vehicles: int) -> None:
        self._board = board
        self._vehicles = vehicles
        self._noise = np.random.default_rng(1)
        self._steps = 0
        place = np.random.default_rng(2)
        self._latitude_deg, self._longitude_deg = place.uniform(30, 47, vehicles), place.uniform(-120, -75, vehicles)
        kinds = (ChannelKind.CELL,) * CELLS
        board.refresh_assignments(
            [
                Assignment(
                    unit_id=f"unit-{number}",
                    pack_id=f"pack-{number:05}",
                    chemistry=Chemistry.NMC,
                    pack_class=PackClass.END_OF_LIFE,
                    series_count=96,
                    capacity_ah=50.0,
                    max_operating_temperature_c=None,
                    gateway_id=f"gateway-{number}",
                    vehicle_id=f"truck-{number}",
                    vehicle_name=f"Truck {number}",
                    fleet_id=f"fleet-{number % 20}",
                    report_interval_s=INTERVAL_S,
                    simulated=True,
                    temperature_labels=tuple(f"probe {probe}" for probe in range(1, PROBES + 1)),
                    voltage_kinds=kinds,
                )
                for number in range(vehicles)
            ],
            {f"gateway-{number}": (f"truck-{number}", f"Truck {number}") for number in range(vehicles)},
            now_ms=now_ms(),
        )
        for minute in range(-30, 0):
            self.report(range(vehicles), now_ms() + minute * 10_000)

    def report(self, numbers: range, at_ms: int) -> None:
        """A sample and a position of each of these vehicles."""
        temperatures = 25 + self._noise.normal(0, 0.5, (len(numbers), 1, PROBES)).astype(np.float32)
        voltages = np.full((1, CELLS), 3.7, np.float32)
        self._board.observe(
            [
                ReceivedBatch(
                    batch=SampleBatch(
                        unit_id=f"unit-{number}",
                        boot_id="1",
                        frame=at_ms,
                        provenance=Provenance.SIMULATED,
                        sampled_at_ms=np.array([at_ms], np.int64),
                        time_uncertainty_s=0.0,
                        temperatures_c=temperatures[row],
                        voltages_v=voltages,
                    ),
                    fleet_id=f"fleet-{number % 20}",
                    gateway_id=f"gateway-{number}",
                    received_at_ms=at_ms,
                )
                for row, number in enumerate(numbers)
            ]
        )
        self._board.observe_positions(
            [
                PositionFix(
                    fleet_id=f"fleet-{number % 20}",
                    gateway_id=f"gateway-{number}",
                    fixed_at_ms=at_ms,
                    latitude_deg=float(self._latitude_deg[number] + self._steps * 1e-5),
                    longitude_deg=float(self._longitude_deg[number]),
                    speed_m_s=22.0,
                    heading_deg=0.0,
                    accuracy_m=8.0,
                )
                for number in numbers
            ]
        )

    async def drive(self) -> None:
        """Report for ever; a step that comes late is made up for."""
        steps = round(INTERVAL_S / STEP_S)
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        while True:
            self.report(range(self._steps % steps, self._vehicles, steps), now_ms())
            self._steps += 1
            await asyncio.sleep(max(began_s + self._steps * STEP_S - loop.time(), 0))


async def serve(vehicles: int, folder: Path) -> None:
    registry = Registry.open(f"sqlite:///{folder / 'registry.sqlite'}")
    store = DuckDBStore(folder / "telemetry.duckdb")
    board = LiveBoard(now_ms=now_ms())
    fleet = Fleet(board, vehicles)

    class NoDesk:
        """Nobody acts here."""

    app = create_app(
        registry=registry,
        board=board,
        history=PagesHistory(store),
        alert_desk=NoDesk(),  # type: ignore[arg-type]
        incident_desk=IncidentDesk(registry, NoDesk()),  # type: ignore[arg-type]
        enroller=None,
        phrases=TablePhrases(),
        session_secret="a secret of this bench",  # noqa: S106 - it guards nothing
        service_token=TOKEN,
        shutdown=asyncio.Event(),
        try_again_on=[StoreError],
        metrics=CollectorRegistry(),
        now_ms=now_ms,
    )
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    server = uvicorn.Server(
        uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1)
    )
    look_for_cycles_rarely()
    claim = ensure_administrator(registry, datetime.now(UTC))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    print(json.dumps({"url": url, "claim": claim, "token": TOKEN}), flush=True)
    driving = asyncio.create_task(fleet.drive(), name="fleet")
    await server.serve(sockets=[listener])
    driving.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vehicles", type=int, default=5000)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the server raises it again when it has ended
    with tempfile.TemporaryDirectory() as temporary, contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(parser.parse_args().vehicles, Path(temporary)))
