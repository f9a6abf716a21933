"""Rule tests as text: courses and expectations are read as written, and each kind of failure is told."""

from __future__ import annotations

import numpy as np
import pytest

from alerts.rule_scenarios import (
    ScenarioError,
    parse_course,
    parse_rule_tests,
    parse_time,
    run_rule_test,
    shipped_tests,
)
from alerts.rules_file import shipped_rules

SHIPPED = [(each.name, test) for each in shipped_tests() for test in parse_rule_tests(each.read_text(), each.name)]


@pytest.mark.parametrize("test", [test for _, test in SHIPPED], ids=[f"{name}: {test.name}" for name, test in SHIPPED])
def test_the_shipped_rules_pass_the_shipped_tests(test):
    assert run_rule_test(test, shipped_rules().rules).failures == ()


@pytest.mark.parametrize(
    ("text", "seconds"), [("90 s", 90), ("10 min", 600), ("1 h 30 min", 5400), ("2 d", 172_800), ("0.5h", 1800)]
)
def test_times(text, seconds):
    assert parse_time(text) == seconds


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("25 for 30 s", [25, 25, 25]),
        ("25 for 20 s, to 27 in 20 s", [25, 25, 25, 26]),
        ("25 for 10 s, gone for 20 s, to -5 in 20 s, 80 for 10 s", [25, np.nan, np.nan, 25, 10, 80]),
    ],
)
def test_courses(text, values):
    np.testing.assert_array_equal(parse_course(text, 10.0), np.array(values, np.float32))


RISE = "temperatures_c.others = '25 for 1 min, to 85 in 2 min, 85 for 1 min, 20 for 10 min'\n"


@pytest.mark.parametrize(
    ("expect", "failure"),
    [
        ("warning by 130 s", None),
        ("warning by 110 s", "warning by 110 s: it came at 2 min"),
        ("runaway by 1 h", "runaway by 1 h: it never came"),
        ("critical at 170 s", None),
        ("critical at 150 s", "critical at 150 s: it came at 2 min 50 s"),
        ("watch at 130 s", "watch at 130 s: it never came"),
        ("no warning before 120 s", None),
        ("no warning before 3 min", "no warning before 3 min: it came at 2 min"),
        ("never above critical", None),
        ("never above warning", "never above warning: critical came at 2 min 50 s"),
        ("critical at the end", None),
        ("normal at the end", "normal at the end: it is critical at 13 min 50 s"),
    ],
)
def test_expectations(expect, failure):
    (test,) = parse_rule_tests(f"[[test]]\nname = 'a'\n{RISE}expect = ['{expect}']", "t.toml")
    result = run_rule_test(test, shipped_rules().rules)
    assert result.failures == (() if failure is None else (failure,))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "t.toml: test: Field required"),
        ("x", "t.toml: it is no TOML"),
        (f"{RISE}expect = []", "t.toml: test.0.expect: List should have at least 1 item"),
        (f"{RISE}expect = ['warned by 3 s']", "t.toml: test 'a': expect 'warned by 3 s' says nothing: allowed are"),
        (f"{RISE}pack_class = 'old'\nexpect = ['never above watch']", "t.toml: test.0.pack_class: Input should be"),
        (f"{RISE}temperature = 3\nexpect = ['never above watch']", "t.toml: test.0.temperature: Extra inputs"),
        ("temperatures_c.1 = '25 for 1 h'\nexpect = ['never above watch']", "does not say what 2 does: name it"),
        ("temperatures_c.9 = '25 for 1 h'\nexpect = ['never above watch']", "temperatures_c.9 is no channel: allowed"),
        ("temperatures_c.others = 'to 25 in 1 h'\nexpect = ['never above watch']", "'to 25 in 1 h' is no piece"),
        ("temperatures_c.others = '25'\nexpect = ['never above watch']", "'25' is no piece of a course: allowed are"),
        ("temperatures_c.others = '25 for 0 s'\nexpect = ['never above watch']", "0 samples: allowed are 1 to"),
        (
            "temperatures_c.others = '25 for 1 h'\ntemperatures_c.1 = '25 for 2 h'\nexpect = ['never above watch']",
            "are 360, 720 samples long: allowed is one",
        ),
        (f"{RISE}singles.shock_g = '1 for 1 h'\nexpect = ['never above watch']", "t.toml: test.0.singles.shock_g"),
    ],
)
def test_mistakes_are_named_with_what_is_allowed(text, says):
    head = "[[test]]\nname = 'a'\n" if text and text != "x" else ""
    with pytest.raises(ScenarioError) as refused:
        parse_rule_tests(head + text, "t.toml")
    assert says in str(refused.value)


def test_noise_and_resolution_are_the_same_each_time():
    text = (
        "[[test]]\nname = 'a'\nnoise_c = 0.3\nresolution_c = 0.5\ntemperatures_c.others = '25 for 1 h'\n"
        "singles.ambient_c = '20 for 1 h'\nexpect = ['never above watch']"
    )
    first, second = (parse_rule_tests(text, "t.toml")[0].columns for _ in range(2))
    np.testing.assert_array_equal(first["temperatures_c"], second["temperatures_c"])
    assert set(np.unique(first["temperatures_c"] % 0.5)) == {0.0}
    assert first["temperatures_c"].std() > 0.2
    assert first["ambient_c"].shape == (360,)
