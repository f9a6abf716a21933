"""Scenarios as text, batches and assignments for the tests of the alert engine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from registry.enrolment import Assignment
from registry.kinds import ChannelKind, Chemistry, PackClass
from telemetry.samples import Provenance, ReceivedBatch, SampleBatch

if TYPE_CHECKING:
    from collections.abc import Callable

START_MS = 1_800_000_000_000


def _assignment(unit_id: str = "unit-1", **given: Any) -> Assignment:
    fields: dict[str, Any] = {
        "pack_id": unit_id.replace("unit", "pack"),
        "chemistry": Chemistry.NMC,
        "pack_class": PackClass.MID_LIFE,
        "series_count": None,
        "capacity_ah": None,
        "max_operating_temperature_c": None,
        "gateway_id": "gateway-1",
        "vehicle_id": "truck-1",
        "vehicle_name": "Truck 1",
        "fleet_id": "fleet-1",
        "report_interval_s": 10.0,
        "simulated": False,
        "temperature_labels": (),
        "voltage_kinds": (ChannelKind.CELL,),
    }
    return Assignment(unit_id=unit_id, **(fields | given))


def _received(times_s: Any, temperatures_c: Any, **given: Any) -> ReceivedBatch:
    """One batch; times in s after START_MS, temperatures (n, T) or (n,) of one probe."""
    times_ms = START_MS + np.rint(np.atleast_1d(times_s) * 1000).astype(np.int64)
    columns = np.asarray(temperatures_c, np.float32)
    if columns.ndim == 1:
        columns = columns.reshape(len(times_ms), -1)
    voltages = np.asarray(given.pop("voltages_v", np.zeros((len(times_ms), 0))), np.float32)
    envelope = {"fleet_id": "fleet-1", "gateway_id": "gateway-1", "received_at_ms": int(times_ms[-1])}
    envelope = {name: given.pop(name, default) for name, default in envelope.items()}
    fields: dict[str, Any] = {
        "unit_id": "unit-1",
        "boot_id": None,
        "frame": None,
        "provenance": Provenance.MEASURED,
        "time_uncertainty_s": 0.01,
    }
    batch = SampleBatch(
        sampled_at_ms=times_ms,
        temperatures_c=columns,
        voltages_v=voltages,
        **(fields | given),
    )
    return ReceivedBatch(batch=batch, **envelope)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scenario:
    """What a text says: rows in event time, and the batches they arrive in."""

    times_s: np.ndarray
    temperatures_c: np.ndarray
    voltages_v: np.ndarray
    sent: list[tuple[int, int]]

    def batches(self, **given: Any) -> list[ReceivedBatch]:
        return [
            _received(
                self.times_s[first : last + 1],
                self.temperatures_c[first : last + 1],
                voltages_v=self.voltages_v[first : last + 1],
                **given,
            )
            for first, last in self.sent
        ]


def _series(text: str) -> list[float]:
    """`25` a value, `25x3` three of it, `25>31x3` a ramp to 31 in three, `_` missing, `_x3` three missing."""
    values: list[float] = []
    for token in text.split():
        match = re.fullmatch(r"(_|[\d.]+)(?:>([\d.]+))?(?:x(\d+))?", token)
        assert match is not None, token
        count = int(match[3] or 1)
        first = np.nan if match[1] == "_" else float(match[1])
        ramp = np.linspace(first, float(match[2]), count + 1)[1:] if match[2] else np.full(count, first)
        values += ramp.tolist()
    return values


def _scenario(text: str) -> Scenario:
    """Lines `every 1 s` or `at 0 1 5`, `probe: ...`, `voltage: ...`, `sent 0-3 4-9 2-3` (rows; left out: one batch)."""
    step_s, stated_s, sent = 1.0, None, None
    probes: list[list[float]] = []
    voltages: list[list[float]] = []
    for line in text.strip().splitlines():
        word, _, rest = line.strip().partition(" ")
        match word:
            case "every":
                step_s = float(rest.split()[0])
            case "at":
                stated_s = [float(value) for value in rest.split()]
            case "probe:":
                probes.append(_series(rest))
            case "voltage:":
                voltages.append(_series(rest))
            case "sent":
                sent = [tuple(int(row) for row in span.split("-")) for span in rest.split()]
            case _:
                raise AssertionError(line)
    rows = len(probes[0])
    times_s = np.arange(rows) * step_s if stated_s is None else np.array(stated_s)
    return Scenario(
        times_s=times_s,
        temperatures_c=np.array(probes, np.float32).T,
        voltages_v=np.array(voltages, np.float32).T if voltages else np.zeros((rows, 0), np.float32),
        sent=sent or [(0, rows - 1)],
    )


@pytest.fixture(scope="session")
def assignment() -> Callable[..., Assignment]:
    """`assignment("unit-1", pack_id=...)`: a unit and what it watches."""
    return _assignment


@pytest.fixture(scope="session")
def received() -> Callable[..., ReceivedBatch]:
    """`received([0, 1], [25, 26])`: a batch of two samples of one probe."""
    return _received


@pytest.fixture(scope="session")
def scenario() -> Callable[[str], Scenario]:
    """A thermal history written down: see `_scenario`."""
    return _scenario


@pytest.fixture(scope="session")
def start_ms() -> int:
    """The time that scenarios and batches count from, ms UTC."""
    return START_MS
