"""An edge node written by others (Eclipse Tahu's sparkplug-client) and our ingest: what it sent is stored, once."""

from __future__ import annotations

import csv
import json
import time

from stage import packwatch_up

NAMES = ("Temperature/1", "Temperature/2", "Voltage/1")


def sample(at_ms: int, values: tuple[float, ...], *, by: str = "name", datatype: str = "Float") -> list[dict]:
    """One sample's metrics, by name or by the alias that the birth gives."""
    return [
        {("name" if by == "name" else "alias"): (name if by == "name" else alias), "type": datatype, "value": value,
         "timestamp": at_ms}
        for alias, (name, value) in enumerate(zip(NAMES, values, strict=True), start=11)
    ]  # fmt: skip


def birth(at_ms: int, values: tuple[float, ...]) -> list[dict]:
    """A device's birth: names, aliases and the values of now."""
    by_name, by_alias = sample(at_ms, values), sample(at_ms, values, by="alias")
    return [{**named, **aliased} for named, aliased in zip(by_name, by_alias, strict=True)]


async def test_what_it_sends_by_name_and_by_alias_is_stored_once(broker, ingest, start_node, until):
    now_ms = time.time_ns() // 1_000_000
    async with ingest.running(broker):
        more = [
            {"name": "Cycles", "type": "UInt32", "value": 70_000, "timestamp": now_ms},  # sent as a 64-bit integer
            {"name": "Balance", "type": "Int32", "value": -5, "timestamp": now_ms},
            {"name": "Maker", "type": "String", "value": "others", "timestamp": now_ms},
            {"name": "Ambient", "alias": 14, "type": "Float", "value": None, "timestamp": now_ms},
        ]
        node = start_node(broker.port, device=birth(now_ms, (20.0, 21.0, 3.5)) + more)
        await until(lambda: "DeviceBorn" in ingest.heard.kinds(), "the births")
        node.say("nodeData", metrics=[{"name": "Uptime", "type": "UInt64", "value": 7, "timestamp": now_ms}])
        node.say("data", metrics=sample(now_ms + 1000, (20.5, 21.5, 3.5)))
        node.say("data", metrics=sample(now_ms + 2000, (21.0, 22.0, 3.25), by="alias"))
        node.say("data", metrics=sample(now_ms + 2000, (21.0, 22.0, 3.25), by="alias"))
        node.say("data", metrics=sample(now_ms + 2000, (21.0, 22.0, 3.25), datatype="Double"))
        steps = [sample(now_ms + 1000 * step, (22.0, 23.0, step), by="alias") for step in (3, 4, 5)]
        node.say("data", metrics=[metric for step in steps for metric in step])
        late = [{**metric, "isHistorical": True} for metric in sample(now_ms - 60_000, (19.0, 19.5, 3.75), by="alias")]
        node.say("data", metrics=late)
        node.say("data", metrics=sample(now_ms + 6000, (23.0, 24.0, 3.0), by="alias")[:1])
        expected = {
            now_ms - 60_000: [19.0, 19.5, 3.75],
            now_ms: [20.0, 21.0, 3.5],
            now_ms + 1000: [20.5, 21.5, 3.5],
            now_ms + 2000: [21.0, 22.0, 3.25],
            **{now_ms + 1000 * step: [22.0, 23.0, step] for step in (3, 4, 5)},
        }
        rows = await until(lambda: len(found := ingest.rows()) == 8 and found, "eight samples")
        only_one = rows.pop(now_ms + 6000)
        assert only_one[0] == 23.0
        assert [value != value for value in only_one[1:]] == [True, True]  # noqa: PLR0124 - NaN, not measured
        assert rows == expected
        assert list(rows) == sorted(rows)
        assert ingest.registry.quarantine_counts() == {}
        assert node.count("ncmd") == 0, "nothing was missing"


async def test_a_host_that_comes_late_and_a_lost_message_make_it_tell_its_births_again(
    broker, ingest, start_node, until
):
    now_ms = time.time_ns() // 1_000_000
    node = start_node(broker.port, device=birth(now_ms, (20.0, 21.0, 3.5)))
    await until(lambda: node.count("born") == 1, "the births that nobody hears")
    async with ingest.running(broker):
        node.say("data", metrics=sample(now_ms + 1000, (20.5, 21.5, 3.5), by="alias"))
        await until(lambda: node.count("born") == 2, "the births again")
        node.say("data", metrics=sample(now_ms + 2000, (21.0, 22.0, 3.25), by="alias"))
        # The birth told again what the message whose aliases meant nothing had told.
        expected = {now_ms + 1000: [20.5, 21.5, 3.5], now_ms + 2000: [21.0, 22.0, 3.25]}
        await until(lambda: ingest.rows() == expected, "the samples")
        assert ingest.registry.quarantine_counts() == {"birth_missing": 1}
        node.say("lose")
        node.say("data", metrics=sample(now_ms + 3000, (21.5, 22.5, 3.25), by="alias"))
        expected[now_ms + 3000] = [21.5, 22.5, 3.25]
        await until(lambda: ingest.rows() == expected, "the sample after the gap")
        # Rebirths are asked for at most every 5 s a node; each message after a gap is taken meanwhile.
        asked = node.count("ncmd")
        for number in range(1000):
            node.say("lose")
            at_ms = now_ms + 4000 + number
            node.say("data", metrics=sample(at_ms, (number, 0, 3), by="alias"))
            expected[at_ms] = [number, 0, 3]
            await until(lambda: ingest.rows() == expected, "the sample after a gap")
            if node.count("ncmd") > asked:
                break
        await until(lambda: node.count("born") == 3, "the births after the gap")
        await until(lambda: ingest.heard.kinds().count("DeviceBorn") == 2, "the births are heard")
        assert ingest.rows() == expected, "the birth told what was stored already"


async def test_its_deaths_are_heard(broker, ingest, start_node, until):
    now_ms = time.time_ns() // 1_000_000
    device = birth(now_ms, (20.0, 21.0, 3.5))
    async with ingest.running(broker):
        node = start_node(broker.port, device=device)
        await until(lambda: ingest.heard.kinds() == ["NodeBorn", "DeviceBorn"], "the births")
        node.say("deviceDeath")
        await until(lambda: ingest.heard.kinds()[2:] == ["DeviceDied"], "the device's death")
        node.kill()
        await until(lambda: ingest.heard.kinds()[3:] == ["NodeDied"], "its will")
        again = start_node(broker.port, device=device)
        await until(lambda: ingest.heard.kinds()[4:] == ["NodeBorn", "DeviceBorn"], "the births again")
        again.say("stop")
        await until(lambda: ingest.heard.kinds()[6:] == ["NodeDied"], "its farewell")
        assert list(ingest.rows()) == [now_ms], "the births told one sample"


async def test_an_enrolled_one_is_taken_by_packwatch_up(tmp_path, start_node, until):
    with packwatch_up(tmp_path) as packwatch:
        enrolled = packwatch.command(
            "enrol", "--unit", "UNIT-1", "--pack", "PACK-2", "--gateway", "GW-1", "--vehicle", "TRUCK-7",
            "--class", "end_of_life", "--chemistry", "nmc", "--probes", 2, "--interval", 10,
        )  # fmt: skip
        account = json.loads(enrolled.stdout)
        now_ms = time.time_ns() // 1_000_000
        node = start_node(
            account["mqtt"]["port"], birth(now_ms, (20.0, 21.0, 3.5)),
            fleet="fleet", gateway="GW-1", unit="UNIT-1", **account["gateway"],
        )  # fmt: skip
        await until(lambda: node.count("born") == 1, "the births")
        node.say("data", metrics=sample(now_ms + 1000, (20.5, 21.5, 3.25), by="alias"))
        node.say("lose")
        node.say("data", metrics=sample(now_ms + 2000, (21.0, 22.0, 3.0), by="alias"))
        await until(lambda: node.count("born") == 2, "the births again, since its account hears commands")
        output = tmp_path / "pack.csv"

        def exported() -> list[list[str]]:
            packwatch.command("export", "--pack", "PACK-2", "--output", output)
            with output.open(newline="") as file:
                return [row[1:] for row in csv.reader(file)]

        header = ["temperature_1_c", "temperature_2_c", "voltage_1_v"]
        expected = [header, ["20.0", "21.0", "3.5"], ["20.5", "21.5", "3.25"], ["21.0", "22.0", "3.0"]]
        await until(lambda: exported() == expected, "the pack's samples")
