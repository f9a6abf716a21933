"""A vehicle whose uplink leads nowhere: its broker, its gateway's settings, and what a unit on it sends."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from telemetry.frames import encode_frame, frame_from_values
from telemetry.samples import Provenance

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def frame_bytes(number: int, celsius: float = 25.0) -> bytes:
    """Four samples, a second apart, from tick `number` times 10 s on."""
    return encode_frame(
        frame_from_values(
            boot_id="b1",
            number=number,
            tick_ms=number * 10_000,
            period_ms=1_000,
            provenance=Provenance.SIMULATED,
            temperatures_c=np.full((4, 3), celsius),
            voltages_v=np.full((4, 2), 3.7),
        )
    )


def cut_off(folder: Path, local: Any, free_port: Callable[[], int]) -> tuple[str, Path]:
    """Where the gateway will serve the driver's page, and its settings; its siren writes to `folder/heard`."""
    script = folder / "siren.py"
    script.write_text(f"import sys; open({str(folder / 'heard')!r}, 'a').write(sys.argv[1] + ' ')")
    page = f"127.0.0.1:{free_port()}"
    config = folder / "packwatch.toml"
    config.write_text(
        f"""
data_dir = "{folder / "data"}"
[mqtt]
address = "127.0.0.1:{free_port()}"
[gateway]
gateway_id = "truck"
[gateway.local]
address = "{local.access.host}:{local.access.port}"
[gateway.cab]
siren_command = ["{sys.executable}", "-I", "-S", "{script}"]
page = "{page}"
emergency_number = "+13035550100"
"""
    )
    return page, config
