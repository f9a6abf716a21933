"""An incident with samples, positions, alerts and a review, in a registry and a store of its own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from alerts.grouping import gathering
from ingest.stores.duckdb import DuckDBStore
from packwatch.reviewing import review_house
from packwatch.settings import Settings
from registry.enrolment import Enrolment
from registry.kinds import AlertKind, AlertState, Chemistry, Level, PackClass, Role
from registry.records import Alert, AlertEvent
from registry.registry import Registry
from registry.review_records import CauseClass, EntryKind
from registry.reviews import EntryText
from registry.roles import Hand
from telemetry.samples import PositionFix, Provenance, ReceivedBatch, SampleBatch

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NOW_MS = round(NOW.timestamp() * 1000)


@dataclass
class Case:
    """Everything of it."""

    settings: Settings
    registry: Registry
    store: DuckDBStore
    incident_id: str
    house: Any

    def hand(self, name: str = "ida", role: str = "safety") -> Hand:
        account = self.registry.account_by_name(name) or self.registry.create_account(
            name=name, display_name=name.title(), now=NOW, role=role, password_hash="x"
        )
        return Hand(account_id=account.account_id, by=account.display_name, role=Role.SAFETY_LEAD, now=NOW)

    def close(self) -> None:
        self.registry.close()
        self.store.close()


def enrol(registry: Registry) -> None:
    registry.enrol(
        Enrolment(
            fleet_id="fleet-1",
            gateway_id="gateway-1",
            vehicle_id="truck-1",
            vehicle_name="Truck <b>1</b>",
            pack_id="pack-1",
            chemistry=Chemistry.NMC,
            pack_class=PackClass.DAMAGED,
            capacity_ah=50.0,
            series_count=2,
            unit_id="unit-1",
            temperature_channels=3,
            voltage_channels=2,
            simulated=False,
            class_assessed_by="A. Assessor",
            class_criteria="visual",
            class_outcome="dented",
            bound_from=NOW - timedelta(days=2),
        ),
        NOW - timedelta(days=2),
    )


def heat(store: DuckDBStore, *, minutes: int = 90, until_ms: int = NOW_MS) -> None:
    """Samples every 10 s: calm, then probe 2 climbs to 95 degC in the last 30 minutes; and a fix a minute."""
    n = minutes * 6
    at_ms = until_ms - 10_000 * np.arange(n, dtype=np.int64)[::-1]
    rng = np.random.default_rng(5)
    temperatures = 22 + rng.normal(0, 0.05, (n, 3)).astype(np.float32)
    temperatures[-180:, 1] += np.linspace(0, 73, 180, dtype=np.float32)
    batch = SampleBatch(
        unit_id="unit-1",
        boot_id="1-a",
        frame=until_ms // 1000,
        provenance=Provenance.MEASURED,
        sampled_at_ms=at_ms,
        time_uncertainty_s=0.1,
        temperatures_c=temperatures,
        voltages_v=np.tile(np.asarray([3.7, 3.6], np.float32), (n, 1)),
    )
    received = ReceivedBatch(batch=batch, gateway_id="gateway-1", received_at_ms=until_ms, fleet_id="fleet-1")
    store.append([received])
    store.append_positions(
        [
            PositionFix(
                fleet_id="fleet-1",
                gateway_id="gateway-1",
                fixed_at_ms=until_ms - 60_000 * minute,
                latitude_deg=39.5 + 0.001 * minute,
                longitude_deg=-119.8,
            )
            for minute in range(minutes)
        ]
    )


def make_case(folder: Path, **settings: Any) -> Case:
    """An open incident of pack-1, at `critical` since ten minutes ago."""
    chosen = Settings(data_dir=folder, **settings)
    registry = Registry.open(chosen.registry_address())
    store = DuckDBStore(folder / "telemetry.duckdb", threads=1, memory_limit_mb=256)
    enrol(registry)
    heat(store)
    raised = NOW - timedelta(minutes=10)
    alert = Alert(
        alert_id="a1",
        kind=AlertKind.THERMAL,
        cause="ceiling",
        fleet_id="fleet-1",
        pack_id="pack-1",
        unit_id="unit-1",
        gateway_id="gateway-1",
        level=Level.CRITICAL,
        peak_level=Level.CRITICAL,
        state=AlertState.RAISED,
        provenance=Provenance.MEASURED,
        reasons=["probe 2 is 81.0 degC, above 80 degC <script>alert(1)</script>"],
        sampled_at=raised,
        raised_at=raised,
    )
    event = AlertEvent(
        alert_id="a1",
        at=raised,
        sampled_at=raised,
        action="raise",
        to_state=AlertState.RAISED,
        level=Level.CRITICAL,
        reasons=alert.reasons,
    )
    registry.raise_alert(alert, event, gather=gathering)
    (incident,) = registry.incidents()
    house = review_house(chosen, registry, store)
    return Case(settings=chosen, registry=registry, store=store, incident_id=incident.incident_id, house=house)


def reviewed(case: Case) -> None:
    """A finding, a cause, and a file."""
    hand = case.hand()
    words = EntryText(text="probe 2 led by <i>70 degC</i> \u6e29\u5ea6 " + 300 * "x", pack_id="pack-1", probe=2, at=NOW)
    case.registry.write_entry(case.incident_id, hand, "e1", EntryKind.FINDING, words, version=None)
    version = case.registry.review(case.incident_id).review.version
    case.registry.classify_cause(
        case.incident_id, hand, version=version, cause=CauseClass.CELL_DEFECT, note="vented at 95 degC"
    )
