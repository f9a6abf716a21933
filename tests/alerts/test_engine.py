"""The frame around the detector: subjects, provenance, duplicates, restarts, and units that nobody registered."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.engine import UNREGISTERED_UNITS_KEPT, Engine
from alerts.levels import Settled, Standing, Subject
from alerts.pack_states import PackStates
from alerts.rules import RULES, Rules
from alerts.rules_file import parse_rules
from registry.kinds import AlertKind, Level
from telemetry.samples import Provenance, Quality

PACK = Subject(AlertKind.THERMAL, "pack-1", Provenance.MEASURED)


@pytest.fixture
def engine(assignment):
    engine = Engine()
    engine.assign([assignment()])
    return engine


def told(transitions):
    return [(transition.subject.id, str(transition.level)) for transition in transitions]


def test_a_transition_names_pack_unit_gateway_fleet_and_event_time(engine, received, start_ms):
    (transition,) = engine.observe([received([0, 5], [25, 85])])
    assert transition.subject == PACK
    assert (transition.before, transition.level) == (Level.NORMAL, Level.CRITICAL)
    assert transition.sampled_at_ms == start_ms + 5000
    assert (transition.unit_id, transition.gateway_id, transition.fleet_id) == ("unit-1", "gateway-1", "fleet-1")
    assert transition.cause == "ceiling"


def test_many_units_with_many_layouts_in_one_call_are_told_in_order_of_arrival(assignment, received):
    engine = Engine()
    engine.assign([assignment(f"unit-{number}") for number in range(9)])
    batches = [
        received([0, 1], np.full((2, 1 + number % 3), 25.0 if number % 2 else 61.0), unit_id=f"unit-{number}")
        for number in range(9)
    ]
    assert told(engine.observe(batches[::-1])) == [(f"pack-{number}", "warning") for number in (8, 6, 4, 2, 0)]


def test_more_rows_than_one_step_takes_are_evaluated_in_one_call(engine, received, monkeypatch):
    monkeypatch.setattr("alerts.engine.ROWS_AT_ONCE", 20)
    rows = 12
    batches = [
        received(np.arange(rows) * 0.1 + batch * rows * 0.1, np.full(rows, 95.0 if batch == 9 else 25.0))
        for batch in range(10)
    ]
    assert told(engine.observe(batches)) == [("pack-1", "critical")]


def test_a_pack_has_the_higher_level_of_its_two_units(assignment, received):
    engine = Engine()
    engine.assign([assignment("unit-1", pack_id="pack-1"), assignment("unit-2", pack_id="pack-1")])
    assert told(engine.observe([received([0], [61])])) == [("pack-1", "warning")]
    assert told(engine.observe([received([1], [62], unit_id="unit-2")])) == []
    cool = [25.0] * 8
    times = np.arange(10, 90, 10)
    assert told(engine.observe([received(times, cool)])) == []
    assert told(engine.observe([received(times, cool, unit_id="unit-2")])) == [("pack-1", "normal")]


def test_a_latched_level_outlives_the_unit_that_had_it(assignment, received):
    """Its other unit's milder heat is no change of the pack's level: critical ends only by a person."""
    engine = Engine()
    engine.assign([assignment("unit-1", pack_id="pack-1"), assignment("unit-2", pack_id="pack-1")])
    engine.observe([received([0], [25], unit_id="unit-2")])
    assert told(engine.observe([received([1], [85])])) == [("pack-1", "critical")]
    engine.assign([assignment("unit-1", pack_id="pack-9"), assignment("unit-2", pack_id="pack-1")])
    assert told(engine.observe([received([2], [62], unit_id="unit-2")])) == []
    assert told(engine.observe([received(range(3, 7), [64, 70, 80, 90], unit_id="unit-2")])) == [("pack-1", "runaway")]
    engine.release(PACK)
    assert told(engine.observe([received([20], [62], unit_id="unit-2")])) == [("pack-1", "warning")]


def test_a_frame_is_evaluated_once(engine, received):
    hot = received([0], [61], boot_id="1-a", frame=7)
    assert told(engine.observe([hot, hot])) == [("pack-1", "warning")]
    assert told(engine.observe([received(np.arange(10, 90, 10), [25] * 8, boot_id="1-a", frame=8), hot])) == [
        ("pack-1", "normal")
    ]
    assert engine.duplicate_batches == 2


def test_the_same_frame_number_of_another_boot_is_another_frame(engine, received):
    engine.observe([received([0], [25], boot_id="1-a", frame=7)])
    assert told(engine.observe([received([1], [85], boot_id="2-b", frame=7)])) == [("pack-1", "critical")]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_frames_cut_and_doubled_at_will_change_no_transition(assignment, received, data):
    temperatures = data.draw(
        st.lists(st.sampled_from([25.0, 54.0, 57.0, 61.0, 70.0, 81.0, np.nan]), min_size=1, max_size=60)
    )
    cuts = sorted(data.draw(st.sets(st.integers(1, len(temperatures)), max_size=6)) | {len(temperatures)})
    frames = [
        received(10.0 * np.arange(first, last), temperatures[first:last], boot_id="1-a", frame=number)
        for number, (first, last) in enumerate(zip([0, *cuts[:-1]], cuts, strict=True))
    ]
    sent = [
        again
        for number in range(len(frames))
        for again in [frames[number], *data.draw(st.lists(st.sampled_from(frames[: number + 1]), max_size=2))]
    ]
    engine, plain = Engine(), Engine()
    engine.assign([assignment()])
    plain.assign([assignment()])
    calls = data.draw(st.booleans())
    found = engine.observe(sent) if calls else [each for received in sent for each in engine.observe([received])]
    expected = plain.observe([received(10.0 * np.arange(len(temperatures)), temperatures)])
    assert [(t.level, t.sampled_at_ms) for t in found] == [(t.level, t.sampled_at_ms) for t in expected]


def test_other_rules_hold_from_the_next_row_on_and_levels_stay(engine, received):
    careful = parse_rules(b"version = 2\n[ceilings.warning]\nat_c = 50\nclears_below_c = 45", "r.toml").rules
    assert told(engine.observe([received([0], [55])])) == []
    engine.use_rules(careful)
    assert told(engine.observe([received([10], [51])])) == [("pack-1", "warning")]
    engine.use_rules(RULES)
    assert told(engine.observe([received(np.arange(20, 90, 10), [54] * 7)])) == [("pack-1", "normal")]


def test_rules_with_other_levels_are_refused(engine):
    with pytest.raises(ValueError, match="ceilings of other levels"):
        engine.use_rules(Rules(ceilings=RULES.ceilings[:1]))


def test_a_longer_gap_is_believed_as_soon_as_the_rules_say_so(assignment, received):
    engine = Engine()
    engine.assign([assignment()])
    engine.observe([received([0, 10], [62, 54])])
    engine.use_rules(parse_rules(b"version = 2\n[gaps]\nlongest_intervals = 10", "r.toml").rules)
    assert told(engine.observe([received([100], [54])])) == [("pack-1", "normal")]


def test_a_replay_never_hides_or_touches_what_is_measured(engine, received):
    replayed = received([0], [85], provenance=Provenance.REPLAYED)
    (transition,) = engine.observe([replayed])
    assert transition.subject == Subject(AlertKind.THERMAL, "pack-1", Provenance.REPLAYED)
    assert transition.reasons[-1] == "its unit calls it replayed, but is registered as real: take it for real"
    assert told(engine.observe([received([1], [25])])) == []
    assert engine.observe([received([2], [86])])[0].subject == PACK


def test_each_replay_is_a_history_of_its_own(engine, received):
    """The second ends later than the first, and so overlaps it in time; its alert was closed in between."""
    first = [received(range(5), [25, 65, 85, 90, 95], provenance=Provenance.REPLAYED, boot_id="r-1", frame=1)]
    second = [received(range(2, 7), [25, 65, 85, 90, 95], provenance=Provenance.REPLAYED, boot_id="r-2", frame=1)]
    of_replay = [("pack-1", "warning"), ("pack-1", "critical"), ("pack-1", "runaway")]
    assert told(engine.observe(first)) == of_replay
    engine.release(PACK._replace(provenance=Provenance.REPLAYED))
    assert told(engine.observe([*second, *first])) == of_replay
    assert told(engine.observe(second)) == []


def test_an_impossible_clock_is_named(engine, received):
    impossible = received([0], [85], quality=np.array([Quality.TIME_IMPOSSIBLE], np.uint32))
    (transition,) = engine.observe([impossible])
    assert transition.reasons[-1].startswith("its unit's clock was impossibly wrong")


@pytest.mark.parametrize(("probes", "voltages"), [(0, 0), (0, 3), (1, 0), (200, 100)])
def test_any_number_of_channels_can_be_evaluated(engine, received, probes, voltages):
    for first in (0, 3):
        columns = np.full((3, probes), 61.0)
        volts = np.full((3, voltages), 3.7)
        batch = received(range(first, first + 3), columns, voltages_v=volts)
        levels = told(engine.observe([batch]))
        assert levels == ([("pack-1", "warning")] if probes and not first else [])


@pytest.mark.parametrize(
    ("provenance", "words"),
    [
        (Provenance.MEASURED, []),
        (Provenance.SIMULATED, ["simulated: no real pack"]),
        (Provenance.REPLAYED, ["replayed: a recording, not measured now"]),
        (Provenance.SYNTHETIC, ["synthetic: made up, not measured"]),
    ],
)
def test_reasons_say_what_is_not_measured(engine, assignment, received, provenance, words):
    engine.assign([assignment(simulated=True)])
    (transition,) = engine.observe([received([0], [61], provenance=provenance)])
    assert list(transition.reasons[1:]) == words


def test_a_backfill_says_so_and_has_its_own_event_time(engine, received, start_ms):
    late = received([0], [85], historical=True, received_at_ms=start_ms + 7_200_000)
    (transition,) = engine.observe([late])
    assert transition.sampled_at_ms == start_ms
    assert transition.reasons[-1] == "late: kept by the gateway, and sent 2.0 h after it was sampled"


def test_an_unregistered_hot_unit_is_told_with_its_vehicle(engine, received):
    hot = received([0], [85], unit_id="stranger")
    (transition,) = engine.observe([hot])
    assert transition.subject == Subject(AlertKind.UNREGISTERED, "stranger", Provenance.MEASURED)
    assert transition.pack_id is None
    assert transition.reasons == (
        "unregistered unit stranger on vehicle Truck 1 (gateway gateway-1)",
        "probe 1 is 85.0 degC, above 80 degC",
    )


def test_a_vehicle_that_only_the_registry_names_is_named(engine, received):
    engine.name_vehicle("gateway-9", "Trailer 9")
    (transition,) = engine.observe([received([0], [61], unit_id="stranger", gateway_id="gateway-9")])
    assert transition.reasons[0] == "unregistered unit stranger on vehicle Trailer 9 (gateway gateway-9)"
    (transition,) = engine.observe([received([0], [61], unit_id="other", gateway_id="gateway-8")])
    assert transition.reasons[0] == "unregistered unit other on an unknown vehicle (gateway gateway-8)"


def test_a_registered_unit_without_a_pack_is_told_as_such(assignment, received):
    engine = Engine()
    engine.assign([assignment(pack_id=None)])
    (transition,) = engine.observe([received([0], [61])])
    assert transition.subject.kind is AlertKind.UNREGISTERED
    assert transition.reasons[0] == "unit that watches no pack, unit-1 on vehicle Truck 1 (gateway gateway-1)"


def test_unknown_units_are_bounded_and_the_quietest_goes_first(received):
    engine = Engine()
    batches = [received([0], [25], unit_id=f"s-{number}") for number in range(UNREGISTERED_UNITS_KEPT)]
    engine.observe(batches)
    engine.observe([received([1], [25], unit_id="s-0")])
    engine.observe([received([1], [25], unit_id=f"t-{number}") for number in range(3)])
    assert ("s-0", Provenance.MEASURED) in engine._series
    assert all((f"s-{number}", Provenance.MEASURED) not in engine._series for number in (1, 2, 3))
    assert len(engine._series) == UNREGISTERED_UNITS_KEPT


def test_a_unit_that_is_bound_to_another_pack_begins_anew(engine, assignment, received):
    engine.observe([received([0], [85])])
    engine.assign([assignment(pack_id="pack-2")])
    assert told(engine.observe([received([1], [25])])) == []
    assert told(engine.observe([received([2], [61])])) == [("pack-2", "warning")]
    engine.assign([assignment()])
    assert told(engine.observe([received([3], [85])])) == []  # pack-1 has been critical all the time


def test_other_channels_keep_the_level(engine, received):
    engine.observe([received([0], [85])])
    assert told(engine.observe([received([1], [[25, 25]]), received([2], [[86, 25]]), received([3], [25])])) == []


def test_other_channels_keep_a_warning_until_it_clears(engine, received):
    engine.observe([received([0], [61])])
    times = np.arange(10, 90, 10)
    (transition,) = engine.observe([received(times, [[25, 25]] * 8)])
    assert transition.level is Level.NORMAL


def test_layouts_that_alternate_do_not_mix_units(assignment, received):
    engine = Engine()
    engine.assign([assignment("unit-1"), assignment("unit-2")])
    batches = [
        received([0], [85], unit_id="unit-1"),
        received([1], [[25, 25]], unit_id="unit-1"),
        received([0], [25], unit_id="unit-2"),
        received([2], [25], unit_id="unit-1"),
    ]
    assert told(engine.observe(batches)) == [("pack-1", "critical")]
    assert told(engine.observe([received([9], [61], unit_id="unit-2")])) == [("pack-2", "warning")]


def test_after_a_restart_critical_stays_latched(assignment, received, start_ms):
    engine = Engine()
    engine.assign([assignment()])
    engine.restore(PACK, standing=Standing(level=Level.CRITICAL, peak=Level.CRITICAL, since_ms=start_ms - 1000))
    assert told(engine.observe([received([0, 100], [85, 25])])) == []
    runaway = received([101, 102, 103, 104, 105], [90, 100, 110, 120, 130])
    assert told(engine.observe([runaway])) == [("pack-1", "runaway")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("probe: 25 25 61", ["2 critical"]),
        ("probe: 25 25 61 25x10 61", ["2 critical"]),
        ("probe: 85 61 25x10 61", []),
        ("probe: 85 25x70 61", ["71 critical"]),
        ("probe: _ _ 61", []),
        ("probe: _ _ 59 61", ["3 critical"]),
        ("at 0 0 1\nprobe: 25 _ 25\nprobe: _ 61 62\nsent 0-0 1-2", []),
        ("probe: 25 61 25\nsent 2-2 0-1", []),
    ],
    ids=[
        "cool at the start, then hot",
        "hot again once only",
        "hot at the start: what the people know goes on",
        "hot at the start, and cooled since",
        "nothing measured is not cool",
        "below the ceiling is cool enough for a start",
        "channels one by one are one row",
        "late rows call nobody",
    ],
)
def test_after_a_restart_the_first_rows_say_whether_a_latched_pack_is_cool(
    assignment, scenario, start_ms, text, expected
):
    for cut in (True, False):
        engine = Engine()
        engine.assign([assignment()])
        engine.restore(PACK, standing=Standing(level=Level.CRITICAL, peak=Level.CRITICAL, since_ms=start_ms - 1000))
        batches = scenario(text).batches()
        found = [t for each in batches for t in engine.observe([each])] if cut else engine.observe(batches)
        assert [f"{(t.sampled_at_ms - start_ms) / 1000:g} {t.level}" for t in found] == expected
        assert all(t.renewed and t.before is t.level for t in found)


def test_heat_of_another_provenance_renews_nothing(engine, received):
    engine.observe([received([0], [85])])
    engine.observe([received(range(1, 70), [25] * 69)])
    found = engine.observe([received([100, 101], [61, 85], provenance=Provenance.REPLAYED)])
    assert [(t.level, t.renewed) for t in found] == [(Level.WARNING, False), (Level.CRITICAL, False)]
    assert [(t.subject, t.renewed) for t in engine.observe([received([102], [61])])] == [(PACK, True)]


def test_a_frame_that_comes_again_renews_nothing(engine, received):
    engine.observe([received([0], [85], boot_id="1-a", frame=1)])
    engine.observe([received(range(1, 70), [25] * 69, boot_id="1-a", frame=2)])
    hot = received([70], [61], boot_id="1-a", frame=3)
    assert [t.renewed for t in engine.observe([hot, hot])] == [True]
    assert engine.observe([hot, received([70], [61])]) == []


@pytest.mark.parametrize(
    ("first", "second", "renewed"),
    [
        ([85, *[25] * 99], [25] * 100, True),
        ([85, *[25] * 9], [25] * 10, False),
        ([85, 85, 85], [25] * 3, False),
        ([85], [25] * 100, True),
    ],
    ids=["both are cool", "the first not for long enough", "the first is hot", "the first is gone"],
)
def test_a_packs_other_unit_renews_when_neither_is_hot(assignment, received, first, second, renewed):
    engine = Engine()
    engine.assign([assignment("unit-1", pack_id="pack-1"), assignment("unit-2", pack_id="pack-1")])
    engine.observe([received([0], [25], unit_id="unit-2")])
    engine.observe([received(range(1, 1 + len(first)), first)])
    engine.observe([received(range(1, 1 + len(second)), second, unit_id="unit-2")])
    found = engine.observe([received([1 + len(second)], [62], unit_id="unit-2")])
    assert [(t.renewed, t.level, t.unit_id) for t in found] == [(True, Level.CRITICAL, "unit-2")] * renewed
    assert [t.reasons for t in found] == [("hot again: probe 1 is 62.0 degC, above 60 degC; it had cooled",)] * renewed


def test_what_a_series_leaves_says_whether_heat_is_renewed_in_the_next(engine, received):
    """Other channels begin another series: heat that goes on is no news, heat after a cool hour is."""
    engine.observe([received([0], [85])])
    assert told(engine.observe([received([1, 2], [[25, 25], [86, 25]])])) == []
    engine.observe([received(range(3, 80), [[25, 25]] * 77)])
    assert [t.renewed for t in engine.observe([received([81], [61])])] == [True]


def test_each_replay_is_a_fresh_pack_under_the_old_latch(engine, received):
    first = received(range(3), [25, 61, 85], provenance=Provenance.REPLAYED, boot_id="r-1", frame=1)
    second = received(range(3), [25, 61, 85], provenance=Provenance.REPLAYED, boot_id="r-2", frame=1)
    engine.observe([first])
    (transition,) = engine.observe([second])
    assert (transition.renewed, transition.level) == (True, Level.CRITICAL)


def test_after_a_restart_a_warning_clears_when_every_probe_is_cool(assignment, received, start_ms):
    engine = Engine()
    engine.assign([assignment()])
    engine.restore(PACK, standing=Standing(level=Level.WARNING, peak=Level.WARNING, since_ms=start_ms - 1000))
    times = np.arange(0, 80, 10)
    rows = np.column_stack([np.full(8, 25.0), np.full(8, np.nan)])
    (transition,) = engine.observe([received(times, rows)])
    assert (transition.level, transition.sampled_at_ms) == (Level.NORMAL, start_ms + 60_000)


def test_samples_of_an_alert_that_ended_raise_nothing_again_after_a_restart(assignment, received, start_ms):
    engine = Engine()
    engine.assign([assignment()])
    engine.restore(PACK, settled=Settled(from_ms=start_ms, until_ms=start_ms + 10_000, peak=Level.WARNING))
    assert told(engine.observe([received([0, 5, 10], [61, 62, 61])])) == []
    assert told(engine.observe([received([6], [81])])) == [("pack-1", "critical")]


def test_closing_ends_the_level_and_newer_heat_raises_it_anew(engine, received, start_ms):
    engine.observe([received([0, 1], [85, 85])])
    assert engine.newest_ms(PACK) == start_ms + 1000
    engine.release(PACK)
    assert told(engine.observe([received([0.5], [84])])) == []  # of the alert that was closed
    (transition,) = engine.observe([received([2], [85])])
    assert (transition.level, transition.sampled_at_ms) == (Level.CRITICAL, start_ms + 2000)


def test_an_engine_with_nothing_to_do_does_nothing(engine, received):
    assert engine.observe([]) == []
    assert engine.observe([received([0], [25])]) == []
    assert engine.newest_ms(Subject(AlertKind.THERMAL, "pack-9", Provenance.MEASURED)) is None
    engine.release(Subject(AlertKind.THERMAL, "pack-9", Provenance.MEASURED))


def test_a_unit_whose_probe_rises_has_a_forecast_and_a_calm_one_has_none(assignment, received):
    engine = Engine()
    engine.assign([assignment(), assignment("unit-2")])
    times_s = np.arange(0, 7200, 10.0)
    calm_c = 25 + np.random.default_rng(5).normal(0, 0.05, (len(times_s), 6))
    rising_c = calm_c.copy()
    rising_c[:, 2] += np.clip((times_s - 3600) / 60 * 0.25, 0, None)
    assert engine.forecast_s("unit-1") is None
    for first in range(0, len(times_s), 180):
        part = slice(first, first + 180)
        engine.observe(
            [received(times_s[part], rising_c[part]), received(times_s[part], calm_c[part], unit_id="unit-2")]
        )
    assert engine.standing()[PACK].level.rank >= Level.WATCH.rank
    earliest_s, latest_s = engine.forecast_s("unit-1")
    assert 0 <= earliest_s < latest_s
    assert engine.forecast_s("unit-2") is None


def test_a_forecast_lasts_until_its_slots_next_row():
    states = PackStates(temperature_channels=2, voltage_channels=1, clearing_ceilings=1)
    slots = [states.add(max_operating_temperature_c=60.0, longest_gap_s=30.0) for _ in range(3)]
    bands = np.array([[60, 120], [np.nan, np.nan], [90, 300]], np.float32)
    states.keep_forecasts(np.array(slots), bands)
    assert states.forecast_s == {slots[0]: (60, 120), slots[2]: (90, 300)}
    states.keep_forecasts(np.array(slots[:2]), bands[[1, 0]])
    assert states.forecast_s == {slots[1]: (60, 120), slots[2]: (90, 300)}
    states.free(slots[2])
    assert states.forecast_s == {slots[1]: (60, 120)}
