"""Samples as frozen columns, and the small types beside them."""

import numpy as np
import pytest

from telemetry.broker import BrokerAccess
from telemetry.identifiers import IdentifierError, parse_identifier
from telemetry.samples import SINGLE_CHANNELS, Provenance, Quality, Sample, SampleBatch, ShapeError

NAN = float("nan")


def batch(**changes):
    columns = {
        "unit_id": "unit-1",
        "boot_id": None,
        "frame": None,
        "provenance": Provenance.SIMULATED,
        "sampled_at_ms": [1_000, 2_000],
        "time_uncertainty_s": 0.1,
        "temperatures_c": [[20.0, NAN], [21.0, 22.0]],
        "voltages_v": np.zeros((2, 0)),
    }
    return SampleBatch(**(columns | changes))


def test_columns_take_their_dtypes_and_are_locked():
    made = batch(ambient_c=[1, 2])
    assert made.sampled_at_ms.dtype == np.int64
    assert made.temperatures_c.dtype == made.voltages_v.dtype == made.ambient_c.dtype == np.float32
    assert made.quality.dtype == np.uint32
    with pytest.raises(ValueError, match="read-only"):
        made.temperatures_c[0, 0] = 5
    with pytest.raises(AttributeError):
        made.unit_id = "unit-2"


def test_the_callers_array_stays_writeable():
    temperatures_c = np.zeros((2, 2), np.float32)
    made = batch(temperatures_c=temperatures_c)
    temperatures_c[0, 0] = 1
    assert not made.temperatures_c.flags.writeable


def test_quality_is_good_when_it_is_left_out():
    assert batch().quality.tolist() == [Quality.GOOD, Quality.GOOD]
    assert batch(quality=[0, 1]).quality.tolist() == [0, Quality.TEMPERATURE_SUSPECT]


def test_a_batch_counts_its_rows_and_values():
    made = batch(voltages_v=np.zeros((2, 3)), ambient_c=[1, 2], shock_g=[NAN, NAN])
    assert len(made) == 2
    assert made.values() == 2 * (2 + 3 + 2)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"temperatures_c": [20.0, 21.0]}, "1 dimensions"),
        ({"voltages_v": np.zeros((2, 1, 1))}, "3 dimensions"),
        ({"temperatures_c": np.zeros((3, 2))}, "temperatures_c has shape"),
        ({"voltages_v": np.zeros((1, 2))}, "voltages_v has shape"),
        ({"ambient_c": [1.0]}, "ambient_c has shape"),
        ({"voc_ppm": [[1.0], [2.0]]}, "voc_ppm has shape"),
        ({"quality": [0]}, "quality has shape"),
        ({"sampled_at_ms": [2_000, 2_000]}, "do not strictly increase"),
        ({"sampled_at_ms": [2_000, 1_000]}, "do not strictly increase"),
        ({"sampled_at_ms": [2**62, -(2**62)]}, "do not strictly increase"),
    ],
)
def test_columns_that_do_not_belong_together_are_refused(changes, words):
    with pytest.raises(ShapeError, match=words):
        batch(**changes)


def test_times_whose_difference_overflows_still_increase():
    made = batch(sampled_at_ms=[-(2**63), 2**63 - 1])
    assert len(made) == 2


def test_a_row_says_none_for_what_was_not_measured():
    assert batch(ambient_c=[NAN, 7.0], quality=[5, 0]).sample(0) == Sample(
        unit_id="unit-1",
        sampled_at_ms=1_000,
        temperatures_c=(20.0, None),
        voltages_v=(),
        ambient_c=None,
        humidity_pct=None,
        hydrogen_ppm=None,
        carbon_monoxide_ppm=None,
        voc_ppm=None,
        shock_g=None,
        quality=Quality.TEMPERATURE_SUSPECT | Quality.INFINITY_REMOVED,
        provenance=Provenance.SIMULATED,
    )
    assert batch(ambient_c=[NAN, 7.0]).sample(1).ambient_c == 7.0


def test_a_batch_may_be_empty():
    empty = batch(sampled_at_ms=[], temperatures_c=np.zeros((0, 4)), voltages_v=np.zeros((0, 2)))
    assert len(empty) == 0
    assert empty.values() == 0


def test_single_channels_are_fields_of_batch_and_sample():
    for name in SINGLE_CHANNELS:
        assert name in SampleBatch.__slots__
        assert name in Sample.__slots__


@pytest.mark.parametrize("text", ["u", "unit-1", "A_b-9", "x" * 64])
def test_identifiers_are_returned(text):
    assert parse_identifier(text, "unit") == text


@pytest.mark.parametrize("text", ["", "a/b", "a b", "+", "#", "ü", "a\n", "x" * 65, "x" * 500])
def test_other_texts_are_no_identifiers(text):
    with pytest.raises(IdentifierError, match="unit id") as caught:
        parse_identifier(text, "unit")
    assert len(str(caught.value)) < 200


def test_a_password_is_not_shown():
    assert "hush" not in repr(BrokerAccess(host="localhost", port=1883, username="unit", password="hush"))
