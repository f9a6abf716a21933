"""The rules that a record must keep as a whole; what one value may be, `columns` holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry.errors import RefusedError
from registry.kinds import PackClass
from registry.records import Channel, Pack, SensorUnit, Shipment

if TYPE_CHECKING:
    from registry.records import Base

CHANNELS_MOST = 1024
"""**Assumed**: channels of one kind that a unit may have; ten times the largest pack's, small enough for a batch."""


def check(record: Base) -> None:
    """Raises RefusedError, which says what is missing or wrong, if `record` breaks a rule."""
    match record:
        case Pack():
            _check_pack(record)
        case SensorUnit():
            _check_unit(record)
        case Channel(column=column) if not 1 <= column <= CHANNELS_MOST:
            raise RefusedError(f"channels count from 1 to {CHANNELS_MOST}, so there is no channel {column}")
        case Shipment():
            _check_shipment(record)


def check_simulated_unit(pack_id: str, open_real_shipment: Shipment | None) -> None:
    """Raises RefusedError if a simulated unit may not watch the pack now."""
    if open_real_shipment is not None:
        raise RefusedError(
            f"pack {pack_id} is on shipment {open_real_shipment.shipment_id}, which is real and open: no "
            "simulated or replayed unit may report for it"
        )


def _check_pack(pack: Pack) -> None:
    if pack.pack_class is PackClass.DAMAGED:
        evidence = {
            "who assessed it": pack.class_assessed_by,
            "by which criteria": pack.class_criteria,
            "with what outcome": pack.class_outcome,
        }
        missing = [question for question, answer in evidence.items() if not (answer and answer.strip())]
        if missing:
            raise RefusedError(
                f"pack {pack.pack_id} is damaged, defective or recalled (49 CFR 173.185(f)), so its record must say "
                + ", ".join(missing)
            )
    if pack.capacity_ah is not None and pack.capacity_ah <= 0:
        raise RefusedError(f"pack {pack.pack_id} cannot hold {pack.capacity_ah} Ah")
    if pack.series_count is not None and pack.series_count < 1:
        raise RefusedError(f"pack {pack.pack_id} cannot have {pack.series_count} cells in series")
    if pack.state_of_charge_pct is not None and not 0 <= pack.state_of_charge_pct <= 100:
        raise RefusedError(f"pack {pack.pack_id} cannot be charged to {pack.state_of_charge_pct} %: 0 to 100")


def _check_unit(unit: SensorUnit) -> None:
    if unit.report_interval_s <= 0:
        raise RefusedError(f"unit {unit.unit_id} cannot report every {unit.report_interval_s} s")
    for quantity, channels in (("temperature", unit.temperature_channels), ("voltage", unit.voltage_channels)):
        if not 0 <= channels <= CHANNELS_MOST:
            raise RefusedError(f"unit {unit.unit_id} cannot have {channels} {quantity} channels; 0 to {CHANNELS_MOST}")


def _check_shipment(shipment: Shipment) -> None:
    number = shipment.emergency_number or ""
    if shipment.departed_at and not shipment.simulated and not any(sign.isdigit() for sign in number):
        raise RefusedError(
            f"shipment {shipment.shipment_id} cannot depart without an emergency telephone number (49 CFR 172.604)"
        )
    if shipment.departed_at and shipment.closed_at and shipment.closed_at < shipment.departed_at:
        raise RefusedError(f"shipment {shipment.shipment_id} cannot be closed before it departed")
