"""A test pattern: samples that follow from unit, boot and frame, so that a store can be held against them."""

from __future__ import annotations

import zlib

import numpy as np

from firmware_sim.unit import Rows

TEMPERATURE_STEP_C = 0.05
VOLTAGE_STEP_V = 0.001
"""One step of the wire: what is a whole number of them arrives unchanged."""


def pattern_rows(
    *, seed: int, unit_id: str, boot_id: str, frame: int, rows: int, temperatures: int, voltages: int
) -> Rows:
    """`rows` samples whose values follow from the arguments alone; one in 16 is NaN, not measured.

    -20 to 45 degC and 3 to 4.2 V: nothing that a unit reports faster for, nor that ingest suspects.
    """
    random = np.random.default_rng((seed, zlib.crc32(unit_id.encode()), zlib.crc32(boot_id.encode()), frame))
    temperatures_c = np.asarray(random.integers(-400, 900, (rows, temperatures)) * TEMPERATURE_STEP_C, np.float64)
    voltages_v = np.asarray(random.integers(3000, 4200, (rows, voltages)) * VOLTAGE_STEP_V, np.float64)
    temperatures_c[random.random((rows, temperatures)) < 1 / 16] = np.nan
    voltages_v[random.random((rows, voltages)) < 1 / 16] = np.nan
    return Rows(temperatures_c=temperatures_c, voltages_v=voltages_v if voltages else None)
