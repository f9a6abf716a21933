"""docs/detection.md, from the figures of bench/detection.json."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_HEAD = """# What the detector reaches

Made by `make detection` from simulated packs and measured recordings; do not edit. Figures: `bench/detection.json`.

{events:,} simulated failures and {days:,.0f} benign pack-days of {families} test families. The detector was tuned on
other families, apart from these in routes, sensors, the ranges of their physics, and seeds. A simulated pack is no real
pack: the figures say how the detector does on this physics, and the measured recordings at the end are few.

## Targets

{targets}

{verdict}

## How it is measured

- A family is made by `firmware_sim/families.py` from a fixed seed: pack physics, weather, sun and roads, then sensors
  with their faults, then reports: every 10 s, those of fast shorts every 1 s. The weather of some families is that of
  measured loggers (`tests/traces`).
- Levels are those of ceilings and evidence together, as the alert engine takes them: the higher of both, latched from
  `critical` on.
- A **lead** is the time from the first sample after the fault's onset at which the level is `warning` or higher to the
  simulated runaway. A pack that was not warned before counts as 0 s. An alarm before the onset is a false one.
- A **latency** is the time from +5 degC at the probe beside the fault to that sample; negative = earlier.
- A **false alarm** is every rise to `warning` or higher while nothing is wrong. Fixed rules have no hysteresis, so what
  comes back within an hour counts once for them. None in N pack-days means below 3/N a day with 95 % confidence; other
  bounds are those of a Poisson count.
"""

_COMPARISON = """
## What people use today

The same packs and the same reports, watched by fixed rules (`alerts/baselines.py`, where each figure has its source or
says that it is assumed). Leads are those of slow self-heating and growing shorts; "prompt" is the share of fast shorts
told within 5 s of +5 degC. "Holds": where the rule raises at most one false alarm in ten pack-days, Packwatch gives no
less lead (median and 10th percentile), is no less prompt, and raises no more false alarms; where the rule is noisier,
Packwatch comes within 10 % of it, and is quieter. A rule that alarms without a cause also alarms by chance soon after
an onset, so the lead of a noisy rule is partly luck: the last column is its median over the packs in which it had not
alarmed before the onset.

{table}

{verdict}
"""


def page(result: Mapping[str, Any]) -> str:
    """The whole page, in Markdown."""
    targets = result["targets"]
    missed = [each["case"] for each in targets if not each["met"]]
    rows = ([each["case"], each["must"], each["has"], _yes(holds=each["met"])] for each in targets)
    head = _HEAD.format(
        events=result["events"],
        days=result["benign_pack_days"],
        families=result["test_families"],
        targets=_table(("case", "must", "has", "met"), rows),
        verdict="All are met." if not missed else "Not met: " + "; ".join(missed) + ".",
    )
    parts = (_comparison, _leads, _latencies, _false_alarms, _worsened, _traces, _how_long)
    return head + "".join(part(result) for part in parts)


def _comparison(result: Mapping[str, Any]) -> str:
    compared = result["comparison"]
    ours = compared[0]["ours"]
    rows = [_standing("**Packwatch**", ours, "")]
    rows += [_standing(each["method"], each["theirs"], _yes(holds=each["holds"])) for each in compared]
    fails = [each["method"] for each in compared if not each["holds"]]
    return _COMPARISON.format(
        table=_table(
            ("method", "warned before", "lead, median", "lead, 10th percentile", "prompt", "false alarms a pack-day",
             "holds", "median lead where it had been silent"),
            rows,
        ),
        verdict="It holds against each." if not fails else "It does not hold against: " + "; ".join(fails) + ".",
    )  # fmt: skip


def _standing(name: str, standing: Mapping[str, Any], holds: str) -> list[str]:
    return [
        name,
        _percent(standing["warned_before"]),
        _duration(standing["lead_s_median"]),
        _duration(standing["lead_s_10th_percentile"]),
        _percent(standing["within_5_s"]),
        f"{standing['false_warnings_per_pack_day']:.4g}",
        holds,
        _duration(standing["silent_lead_s_median"]),
    ]


def _leads(result: Mapping[str, Any]) -> str:
    rows = [
        [
            *(each[key] for key in ("family", "chemistry", "events")),
            _percent(each["warned"]),
            each["runaways"],
            *(_lead_cells(each) if each["runaways"] else ["-"] * len(_LEAD_COLUMNS)),
        ]
        for each in result["families"]
    ]
    return (
        "\n## Leads by family and chemistry\n\n"
        + _table(("family", "chemistry", "events", "warned", "runaways", *_LEAD_COLUMNS), rows)
        + "\n"
    )


_LEAD_COLUMNS = ("warned before", ">= 5 min", ">= 30 min", "shortest", "10th percentile", "median", "90th percentile")


def _lead_cells(leads: Mapping[str, Any]) -> list[str]:
    return [
        *(_percent(leads[key]) for key in ("warned_before", "lead_of_5_min", "lead_of_30_min")),
        *(_duration(leads[f"lead_s_{key}"]) for key in ("shortest", "10th_percentile", "median", "90th_percentile")),
    ]


def _latencies(result: Mapping[str, Any]) -> str:
    rows = [
        [
            each["family"],
            each["chemistry"],
            each["events"],
            _percent(each["warned"]),
            _percent(each["within_5_s"]),
            *(_seconds(each[f"latency_s_{key}"]) for key in ("median", "99th_percentile", "longest")),
        ]
        for each in result["latencies"]
    ]
    names = ("family", "chemistry", "events", "warned", "within 5 s", "median", "99th percentile", "longest")
    return "\n## Latencies from +5 degC, fast shorts, by family and chemistry\n\n" + _table(names, rows) + "\n"


def _false_alarms(result: Mapping[str, Any]) -> str:
    rows = [
        [
            each["family"],
            each["packs"],
            f"{each['pack_days']:,.0f}",
            each["false_warnings"],
            each["packs_with_false_warnings"],
            each["false_warnings_per_1000_pack_days"],
            each["false_warnings_per_1000_pack_days_below"],
            each["false_criticals"],
        ]
        for each in result["false_alarms"]
    ]
    names = ("family", "packs", "pack-days", "false warnings", "of packs", "in 1,000 pack-days", "below (95 %)",
             "false criticals")  # fmt: skip
    return (
        "\n## False alarms\n\nThe last row is the time before the onset in packs that failed later.\n\n"
        + _table(names, rows)
        + "\n"
    )


def _worsened(result: Mapping[str, Any]) -> str:
    rows = [[name, leads["runaways"], *_lead_cells(leads)] for name, leads in result["worsened"].items()]
    return (
        "\n## The same events, worse reported\n\nSlow self-heating and growing shorts.\n\n"
        + _table(("what is worse", "runaways", *_LEAD_COLUMNS), rows)
        + "\n"
    )


def _traces(result: Mapping[str, Any]) -> str:
    rows = [
        [
            each["trace"],
            each["label"],
            f"{each['pack_days']:.2f}",
            *(_seconds(each[f"{name}_at_s"]) for name in ("watch", "warning", "critical", "runaway_level", "runaway")),
            "-" if each["lead_s"] is None else _duration(each["lead_s"]),
            "; ".join(f"{name}: {_seconds(at_s)}" for name, at_s in each["baselines_warning_at_s"].items()),
        ]
        for each in result["traces"]
    ]
    names = ("trace", "label", "days", "watch", "warning", "critical", "runaway", "recorded", "lead", "today's rules")
    return "\n## Measured recordings\n\nTimes in s of each recording.\n\n" + _table(names, rows) + "\n"


def _how_long(result: Mapping[str, Any]) -> str:
    return (
        f"\nMade in {result['seconds'] / 60:.1f} min with at most {result['peak_rss_mb']:,} MB, by Python "
        f"{result['python']} and numpy {result['numpy']}.\n"
    )


def _table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join("-" if cell is None else str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _yes(*, holds: bool) -> str:
    return "yes" if holds else "**no**"


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:,.6g} s"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if abs(seconds) < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if abs(seconds) < 7200 else f"{seconds / 3600:.1f} h"
