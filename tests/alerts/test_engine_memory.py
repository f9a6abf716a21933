"""An engine that is remembered, written, read and recalled goes on as if it had never ended."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.engine import Engine
from alerts.engine_memory import from_plain, to_plain
from alerts.levels import Settled, Standing, Subject
from alerts.snapshots import Snapshot, SnapshotError, read_snapshot, write_snapshot
from registry.kinds import AlertKind, Level
from telemetry.samples import Provenance

PACK = Subject(AlertKind.THERMAL, "pack-1", Provenance.MEASURED)


def through_a_file(engine, folder):
    head, arrays = to_plain(engine.remember())
    path = folder / "states.npz"
    write_snapshot(path, Snapshot(written_at_ms=0, rules_hash="", fleets=(), head=head, arrays=arrays))
    read = read_snapshot(path, fleets=())
    return from_plain(read.head, read.arrays)


def fresh(assignment):
    engine = Engine()
    engine.assign([assignment(f"unit-{number}") for number in (1, 2, 3)])
    return engine


def told(transitions, start_ms):
    return [
        (t.subject.id, str(t.level), (t.sampled_at_ms - start_ms) / 1000, t.renewed, t.reasons) for t in transitions
    ]


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_wherever_it_is_cut_the_transitions_are_the_same(tmp_path_factory, assignment, received, start_ms, data):
    folder = tmp_path_factory.mktemp("cut")
    kinds = st.sampled_from([25.0, 54.0, 57.0, 61.0, 70.0, 81.0, 95.0, 115.0, np.nan])
    frames = []
    for unit, probes in ((1, 1), (2, 3), (3, 1), (4, 2)):
        rows = data.draw(st.integers(2, 24))
        courses = np.array(
            data.draw(st.lists(st.lists(kinds, min_size=probes, max_size=probes), min_size=rows, max_size=rows))
        )
        volts = np.array(data.draw(st.lists(st.sampled_from([3.7, 2.5, np.nan]), min_size=rows, max_size=rows)))[
            :, None
        ]
        frames += [
            received([10 * row], courses[row : row + 1], voltages_v=volts[row : row + 1], unit_id=f"unit-{unit}",
                     boot_id="1-a", frame=row)
            for row in range(rows)
        ]  # fmt: skip
    frames.sort(key=lambda each: (each.batch.frame, each.batch.unit_id))
    cut = data.draw(st.integers(0, len(frames)))
    whole = fresh(assignment)
    expected = told([t for each in frames for t in whole.observe([each])], start_ms)
    first = fresh(assignment)
    found = told([t for each in frames[:cut] for t in first.observe([each])], start_ms)
    second = fresh(assignment)
    second.recall(through_a_file(first, folder))
    found += told([t for each in [*frames[:cut], *frames[cut:]] for t in second.observe([each])], start_ms)
    assert found == expected
    assert second.duplicate_batches == cut


def test_what_stands_what_is_settled_and_how_far_it_came_are_remembered(tmp_path, assignment, received, start_ms):
    engine = fresh(assignment)
    other = PACK._replace(id="pack-2")
    engine.restore(other, settled=Settled(from_ms=1, until_ms=2, peak=Level.CRITICAL))
    engine.observe([received([0, 5], [25, 85], boot_id="1-a", frame=0)])
    again = fresh(assignment)
    again.recall(through_a_file(engine, tmp_path))
    assert again.standing() == {PACK: Standing(level=Level.CRITICAL, peak=Level.CRITICAL, since_ms=start_ms + 5000)}
    assert again.judged_ms("unit-1") == again.newest_ms(PACK) == start_ms + 5000
    assert again.judged_ms("unit-2") is None
    assert to_plain(again.remember())[0] == to_plain(engine.remember())[0]


def test_a_unit_that_watches_another_pack_by_now_begins_anew(tmp_path, assignment, received):
    engine = fresh(assignment)
    engine.observe([received([0, 10], [62, 54], boot_id="1-a", frame=0)])
    again = Engine()
    again.assign([assignment("unit-1", pack_id="pack-9")])
    again.recall(through_a_file(engine, tmp_path))
    assert again.judged_ms("unit-1") is None
    assert [t.subject.id for t in again.observe([received([20], [62])])] == ["pack-9"]


def test_what_the_registry_says_now_counts(tmp_path, assignment, received):
    """A pack's own limit was entered while the service did not run."""
    engine = fresh(assignment)
    engine.observe([received([0, 1], [30, 30])])
    again = Engine()
    again.assign([assignment("unit-1", max_operating_temperature_c=45.0)])
    again.recall(through_a_file(engine, tmp_path))
    rise = received(range(2, 14), np.arange(32.0, 56.0, 2.0))
    assert [str(t.level) for t in again.observe([rise])] == ["runaway"]


def test_a_level_that_began_before_the_samples_is_held_until_they_clear_it(assignment, received, start_ms):
    engine = fresh(assignment)
    engine.observe([received([0], [57])])
    engine.hold(PACK, Standing(level=Level.WARNING, peak=Level.WARNING, since_ms=0))
    assert engine.observe([received([10, 20], [57, 62])]) == []
    cleared = told(engine.observe([received(range(30, 100, 10), [54] * 7)]), start_ms)
    assert [each[:3] for each in cleared] == [("pack-1", "normal", 90.0)]


@pytest.mark.parametrize("change", ["missing", "other type", "other width"])
def test_states_of_another_program_are_refused_whole(tmp_path, assignment, received, change):
    engine = fresh(assignment)
    engine.observe([received([0], [85])])
    head, arrays = to_plain(engine.remember())
    name = "fixed/1/0/reading_c"
    match change:
        case "missing":
            del arrays[name]
        case "other type":
            arrays[name] = arrays[name].astype(np.float64)
        case "other width":
            arrays[name] = np.zeros((1, 7), np.float32)
    again = fresh(assignment)
    with pytest.raises(SnapshotError, match="reading_c"):
        again.recall(from_plain(head, arrays))
    assert again.standing() == {}
    assert [str(t.level) for t in again.observe([received([0], [85])])] == ["critical"]


def test_a_head_that_cannot_be_read_is_refused(assignment):
    head, arrays = to_plain(fresh(assignment).remember())
    for key in head:
        with pytest.raises(SnapshotError):
            from_plain({**head, key: [[1]]}, arrays)
