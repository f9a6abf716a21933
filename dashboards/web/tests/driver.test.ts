import { describe, expect, test } from "vitest";

import type { Kept, Situation, Stage, TripState } from "../src/driver/contract";
import { age, alarmOf, degrees, elapsedSince, phone, shown } from "../src/driver/shown";
import { packLines, timeLeft } from "../src/sheet/words";

const NOW_MS = 1_800_000_000_000;
const MINUTE_MS = 60_000;

function kept(given: Partial<TripState> = {}): Kept {
  return {
    received_ms: NOW_MS,
    state: {
      now_ms: NOW_MS,
      trip_id: "t",
      driver_name: "Luz",
      language: "es",
      vehicle_name: "Truck 1",
      custody_signed: false,
      stage: "normal",
      situation: "parked",
      moving: false,
      evaluated_at_ms: NOW_MS,
      simulation: false,
      unacknowledged: [],
      position: null,
      emergency_number: null,
      dispatch_number: null,
      ...given,
    },
  };
}

describe("the stage, as the state grows old", () => {
  test.each<[string, Stage, number, Stage]>([
    ["green with a fresh evaluation", "normal", 0, "normal"],
    ["green for a minute", "normal", 60_000, "normal"],
    ["then grey", "normal", 60_001, "no_data"],
    ["what was watched is grey too", "watch", 61_000, "no_data"],
    ["a warning stays", "warning", 10 * MINUTE_MS, "warning"],
    ["an alarm stays, however old", "critical", 72 * 60 * MINUTE_MS, "critical"],
    ["so does the order to stay away", "held", 72 * 60 * MINUTE_MS, "held"],
  ])("%s", (_, stage, elapsed_ms, expected) => {
    expect(shown(kept({ stage }), elapsed_ms, null, NOW_MS).stage).toBe(expected);
  });

  test("an old evaluation in a fresh answer is grey", () => {
    const state = kept({ evaluated_at_ms: NOW_MS - 61_000 });
    expect(shown(state, 0, null, NOW_MS).stage).toBe("no_data");
  });

  test("a pack without any sample is grey", () => {
    expect(shown(kept({ evaluated_at_ms: null }), 0, null, NOW_MS).stage).toBe("no_data");
  });
});

describe("whether there may be something to read", () => {
  test.each<[string, Situation, number, Situation | null, boolean]>([
    ["who drives gets no text", "driving", 0, null, true],
    ["nor in a tunnel", "tunnel", 0, null, true],
    ["who is parked does", "parked", 0, null, false],
    ["... and out of coverage for ten minutes", "sleeping", 10 * MINUTE_MS, null, false],
    ["... then nobody knows: it may be driving", "parked", 10 * MINUTE_MS + 1, null, true],
    ["out of coverage the driver's word counts", "driving", 5 * MINUTE_MS, "parked", false],
    ["in contact the service's counts", "driving", 1_000, "parked", true],
  ])("%s", (_, situation, elapsed_ms, said, wordless) => {
    const word = said === null ? null : { situation: said, at_ms: NOW_MS };
    expect(shown(kept({ situation }), elapsed_ms, word, NOW_MS + 1000).wordless).toBe(wordless);
  });

  test("without any state it may be driving", () => {
    expect(shown(null, Infinity, null, NOW_MS)).toMatchObject({ stage: "no_data", wordless: true });
  });
});

describe("how old a state is", () => {
  test.each([
    ["by the clock, after the page was opened again", NOW_MS + 5000, null, 5000],
    ["by the monotonic clock, when the device's was set back", NOW_MS - 3_600_000, 7000, 7000],
    ["by the device's, when the monotonic one slept", NOW_MS + 90_000, 1000, 90_000],
    ["not known, when the clock was set back meanwhile", NOW_MS - 1, null, Infinity],
  ])("%s", (_, device_ms, monotonic_ms, elapsed_ms) => {
    expect(elapsedSince(NOW_MS, device_ms, monotonic_ms)).toBe(elapsed_ms);
  });
});

test.each<[Stage, boolean, string]>([
  ["critical", true, "siren"],
  ["runaway", true, "siren"],
  ["lost", true, "siren"],
  ["critical", false, "chirp"],
  ["held", false, "chirp"],
  ["warning", true, "beeps"],
  ["warning", false, "none"],
  ["watch", true, "none"],
  ["no_data", false, "none"],
])("%s, unacknowledged %s: %s", (stage, unacknowledged, alarm) => {
  expect(alarmOf(stage, unacknowledged)).toBe(alarm);
});

test("values are written as they are read out", () => {
  expect([
    age(0),
    age(99_999),
    age(100_000),
    age(99 * MINUTE_MS),
    age(185 * MINUTE_MS),
    age(Infinity),
  ]).toEqual(["0 s", "99 s", "1 min", "99 min", "3 h 05 min", "?"]);
  expect(degrees(-105.270551, ["E", "W"])).toBe("105.27055 W");
  expect(phone("+13035550100")).toBe("+1 303 555 0100");
  expect(phone("+4915112345678")).toBe("+4915112345678");
  expect(timeLeft(10 * 3600)).toBe("10 h 00 min left");
  expect(timeLeft(30 * 86_400)).toBe("30 d 0 h left");
  expect(timeLeft(-3900)).toBe("overdue by 1 h 05 min");
});

test("what is not known of a pack says so", () => {
  const nothing = {
    pack_id: "p",
    concerned: true,
    level: null,
    chemistry: null,
    pack_class: null,
    energy_kwh: null,
    state_of_charge_pct: null,
    state_of_charge_at_ms: null,
    min_voltage_v: null,
    pack_voltage_v: null,
    hottest_c: null,
    measured_at_ms: null,
    packing: null,
    place: null,
    unit_id: null,
  };
  expect(packLines(nothing).map(([, value]) => value)).toEqual([
    ...Array<string>(7).fill("not known"),
    "never",
    "not noted",
    "not known",
  ]);
  const charged = {
    ...nothing,
    state_of_charge_pct: 28.4,
    state_of_charge_at_ms: Date.UTC(2026, 10, 20, 8, 30),
  };
  expect(packLines(charged)).toContainEqual(["State of charge", "28 %, noted 2026-11-20 08:30 UTC"]);
});
