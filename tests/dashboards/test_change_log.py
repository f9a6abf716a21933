"""A reader that asks now and then ends up with the same rows as one that hears of every change."""

from hypothesis import given
from hypothesis import strategies as st

from dashboards.change_log import ChangeLog

KEYS = [("pack", name) for name in "abcd"]


@given(st.lists(st.tuples(st.sampled_from(["touch", "forget", "drop_seen", "read"]), st.sampled_from(KEYS))))
def test_a_reader_misses_nothing(steps):
    log, truth, seen, version = ChangeLog(), {}, {}, 0
    for step, key in steps:
        match step:
            case "touch":
                log.touch(key)
                truth[key] = log.version
            case "forget":
                log.forget(key)
                truth.pop(key, None)
            case "drop_seen":
                log.drop_seen(key)
            case "read":
                if version < log.readable_from:
                    seen = truth.copy()
                else:
                    changes = log.since(version)
                    assert [changed for _, changed in changes] == sorted(changed for _, changed in changes)
                    seen.update(changes)
                version = log.version
                assert seen == truth
