"""Breaks a store on purpose, after all has stopped: a comparison that then finds nothing would be worth nothing."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import duckdb

if TYPE_CHECKING:
    from faultline.stage import Stage


class Sabotage(StrEnum):
    """What is broken, and by that name what must be found."""

    MISSING = "missing"
    TWICE = "twice"
    VALUES = "values"
    TIME = "time"
    ORDER = "order"
    STRANGER = "stranger"


_STATEMENTS = {
    Sabotage.MISSING: "DELETE FROM samples WHERE rowid = (SELECT min(rowid) FROM samples)",
    Sabotage.TWICE: "INSERT INTO samples SELECT * FROM samples WHERE rowid = (SELECT min(rowid) FROM samples)",
    Sabotage.VALUES: "UPDATE samples SET temperature_c = list_transform(temperature_c, lambda c: 44.95) "
    "WHERE rowid = (SELECT min(rowid) FROM samples)",
    Sabotage.TIME: "UPDATE samples SET sampled_at = sampled_at + INTERVAL 1 HOUR",
    Sabotage.ORDER: "UPDATE samples SET sampled_at = sampled_at + INTERVAL 1200 MILLISECONDS WHERE frame % 2 = 0",
    Sabotage.STRANGER: "UPDATE samples SET frame = 1000000 WHERE rowid = (SELECT min(rowid) FROM samples)",
}


def break_store(stage: Stage, how: Sabotage) -> None:
    """Break the first worker's DuckDB file. Only when nothing has it open."""
    with duckdb.connect(stage.ingest.disk.folder / "telemetry.duckdb") as connection:
        connection.execute(_STATEMENTS[how])
