import { describe, expect, test } from "vitest";

import type { Vehicle } from "../src/core/contract";
import { disagreementWords } from "../src/core/onboard";
import { rowReason } from "../src/core/reasons";
import {
  ageWords,
  chemistryWords,
  classWords,
  compassPoint,
  countWords,
  motionWords,
  placeWords,
  plural,
} from "../src/core/words";
import { clockWords, momentWords, zoneWords } from "../src/core/zone";
import { NOW_MS, packRow } from "./made";

const C = { temperature: "c", speed: "kmh" } as const;

test.each([
  [-500, "0 s"],
  [999, "0 s"],
  [12_400, "12 s"],
  [59_999, "59 s"],
  [60_000, "1 min 0 s"],
  [123_000, "2 min 3 s"],
  [3_600_000, "1 h 0 min"],
  [11_520_000, "3 h 12 min"],
  [86_400_000, "1 d 0 h"],
  [187_200_000, "2 d 4 h"],
])("an age of %i ms is %s", (ms, words) => {
  expect(ageWords(ms)).toBe(words);
});

describe("why a row has its level", () => {
  test("the service's reasons come first", () => {
    const row = packRow({ reasons: ["probe 7 is 83.4 degC, above 80 degC", "simulated: no real pack"] });
    expect(rowReason(row, true, C)).toEqual({
      first: "probe 7 is 83.4 °C, above 80 °C",
      more: "simulated: no real pack",
    });
  });
  test("a calm row claims no more than that no rule was met", () => {
    expect(rowReason(packRow(), true, C).first).toBe("no alert rule met");
  });
  test("a stale row claims nothing", () => {
    expect(rowReason(packRow(), false, C).first).toBe("no fresh data: what this pack does now is not known");
  });
  test("a pack that never reported says so", () => {
    const row = packRow({ sampled_at_ms: null, received_at_ms: null });
    expect(rowReason(row, false, C).first).toBe("nothing heard from this pack yet");
  });
});

test("places, headings and motion", () => {
  const vehicle: Vehicle = {
    vehicle_id: "V-1",
    name: "Truck 1",
    gateway_id: "GW-1",
    latitude_deg: 41.87812,
    longitude_deg: -87.6298,
    speed_m_s: 25,
    heading_deg: 359,
    fixed_at_ms: NOW_MS,
    online: true,
    tunnel: null,
  };
  expect(placeWords(vehicle)).toBe("41.8781° N 87.6298° W");
  expect(placeWords({ ...vehicle, latitude_deg: null })).toBeNull();
  expect(motionWords(vehicle, C)).toBe("90 km/h N");
  expect(motionWords({ ...vehicle, heading_deg: null }, C)).toBe("90 km/h");
  expect([0, 44, 46, 181, -90, 337.5].map(compassPoint)).toEqual(["N", "NE", "NE", "S", "W", "N"]);
});

test("classes and chemistries, known and not", () => {
  expect(classWords("damaged_defective_recalled")).toBe("damaged, defective or recalled");
  expect(classWords(null)).toBe("class not known");
  expect(chemistryWords("lfp")).toBe("LFP");
  expect(chemistryWords("unknown")).toBe("chemistry not known");
});

test("counts and plurals", () => {
  expect(countWords(1_234_567)).toBe("1\u202f234\u202f567");
  expect(plural(1, "pack")).toBe("1 pack");
  expect(plural(2, "entry", "entries")).toBe("2 entries");
});

test("times are on a 24-hour clock, with the day where it is another one", () => {
  expect(clockWords(NOW_MS)).toMatch(/^\d\d:\d\d:\d\d$/);
  expect(momentWords(NOW_MS, NOW_MS)).toBe(clockWords(NOW_MS));
  expect(momentWords(NOW_MS, NOW_MS + 2 * 86_400_000)).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
});

test.each([
  ["America/Chicago", "CST, America/Chicago"],
  ["Europe/Berlin", "CET, Europe/Berlin"],
  ["Etc/GMT-3", "GMT+3, Etc/GMT-3"],
  ["UTC", "UTC"],
])("the zone %s is named %s in winter", (place, words) => {
  expect(zoneWords(Date.UTC(2026, 0, 15), place)).toBe(words);
});

test("no page says the words that must never be said", () => {
  const sources = import.meta.glob<string>("../src/**/*.{svelte,ts}", {
    query: "?raw",
    import: "default",
    eager: true,
  });
  expect(Object.keys(sources).length).toBeGreaterThan(20);
  const saying = Object.entries(sources).filter(([, source]) => /\bsafe\b|\ball[ -]clear\b/i.test(source));
  expect(saying.map(([name]) => name)).toEqual([]);
});

test("where vehicle and cloud disagree both are named, and nothing where they agree or the vehicle is silent", () => {
  const since = clockWords(NOW_MS);
  const differing = { level_on_board: "warning", on_board_since_ms: NOW_MS, level_here: "normal" } as const;
  expect(disagreementWords(packRow(differing))).toBe(`on board: warning since ${since}; here: normal`);
  expect(disagreementWords(packRow({ ...differing, on_board_since_ms: null }))).toBe(
    "on board: warning; here: normal",
  );
  expect(disagreementWords(packRow({ ...differing, level_here: "warning" }))).toBeNull();
  expect(disagreementWords(packRow())).toBeNull();
});
