"""docs/wire.md is enough to implement the wires: every key, metric, alias, limit and reason of the code is in it."""

import re
from pathlib import Path

import cbor2
import pytest

from telemetry import cbor, frames, limits, scaling, unit_link
from telemetry.on_board import ON_BOARD_ALIASES
from telemetry.sparkplug import acknowledgement, batches, payload, scalars

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs/wire.md").read_text(encoding="utf-8")
SOURCES = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "telemetry").rglob("*.py"))]


def quoted(text):
    return f"`{text}`" in DOCUMENT


@pytest.mark.parametrize(
    "reason", sorted({"frame_truncated"}.union(*(re.findall(r'WireError\(\s*"(\w+)"', source) for source in SOURCES)))
)
def test_every_reason_is_documented(reason):
    assert quoted(reason)


def test_no_other_reason_is_documented():
    code = "".join(SOURCES)
    table = DOCUMENT[DOCUMENT.index("| reason | where |") :]
    for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE):
        for reason in re.findall(r"`(\w+)`", row):
            assert f'"{reason}"' in code, reason


@pytest.mark.parametrize("name", ["unit_frame", "clock_beat", "stored_receipt", "unit_config", "position"])
def test_every_key_of_the_unit_link_is_documented(golden, name):
    for key in cbor2.loads(golden[name]):
        assert quoted(key)


def test_every_column_of_a_frame_is_documented():
    for column in (scaling.TEMPERATURES, scaling.VOLTAGES, *scaling.VECTORS):
        assert re.search(rf"\| `{column.key}` \| n .*u?int16.*\|", DOCUMENT)


def test_every_metric_is_documented_with_its_alias():
    rows = {}
    for names, alias in re.findall(r"^\| (`\w+/\w+`.*?) \|.*\| ([0-9, ]+) \|$", DOCUMENT, re.MULTILINE):
        rows.update(zip(re.findall(r"`(.+?)`", names), map(int, alias.split(",")), strict=True))
    assert rows == {**batches.SAMPLE_ALIASES, **ON_BOARD_ALIASES}


def test_the_acknowledgement_is_documented():
    for name in [*acknowledgement.OUTBOX_DATATYPES, *acknowledgement.Replaced.__slots__]:
        assert quoted(name)
    for limit in (acknowledgement.STORED_RANGES_LIMIT, acknowledgement.REPLACED_RANGES_LIMIT):
        assert f"at most {limit};" in DOCUMENT
    assert f"at most {acknowledgement.REPLACED_DETAILS_LIMIT} of" in DOCUMENT


def test_every_scalar_is_documented():
    for name in [*scalars.SINGLES, "Temperature/1", "Voltage/1"]:
        assert quoted(name)


def test_every_limit_is_documented():
    for limit in (
        f"1 to {limits.MAX_ROWS}",
        f"1 to {limits.MAX_CHANNELS}",
        f"1..{frames.MAX_PERIOD_MS:,}",
        f"{limits.MAX_BATCH_BYTES:,} bytes",
        f"{unit_link.MAX_MESSAGE_BYTES:,} bytes",
        f"{payload.MAX_METRICS:,} metrics",
        f"{batches.ALIASES_PER_DEVICE} * k",
        f"tag {cbor.TAG_INT16_LITTLE} (int16",
        f"tag {cbor.TAG_UINT16_LITTLE} (uint16",
        f"tag {cbor.TAG_ROW_MAJOR} (row-major)",
    ):
        assert limit in " ".join(DOCUMENT.split()), limit
    assert limits.MAX_INTEGER == 2**53 - 1
    assert payload.MAX_PAYLOAD_BYTES == 2**20
