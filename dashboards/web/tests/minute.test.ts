import { describe, expect, test } from "vitest";

import { forecastWords, soonestS } from "../src/core/forecast";
import { KEYS, nextAlarm } from "../src/core/keys";
import { type Call, type CallTo, type Outcome, nextCall, sawWords } from "../src/core/minute";
import { traceOf } from "../src/core/trace";
import { lengthWords } from "../src/core/units";
import { packRow } from "./made";

const NOW = 1_800_000_000_000;
/** The newest first, as the service tells them. */
const calls = (...made: [CallTo, Outcome][]): Call[] =>
  made.map(([to, outcome], i) => ({ to, outcome, at_ms: NOW - i * 1000, by: "Ana", note: null }));

describe("whom to call next", () => {
  test.each<[string, Call[], boolean, CallTo | null, string]>([
    ["the driver first", [], true, "driver", "call the driver"],
    [
      "no answer leads on to 911",
      calls(["driver", "no answer"]),
      true,
      "911",
      "no answer from the driver: call 911 for the county",
    ],
    [
      "a message is no answer",
      calls(["driver", "left message"]),
      true,
      "911",
      "the driver got a message, and has not answered: call 911 for the county",
    ],
    ["an answer leads on as well", calls(["driver", "answered"]), true, "911", "call 911 for the county"],
    [
      "who did not answer is called again, the one tried longest ago first",
      calls(["emergency number", "no answer"], ["911", "answered"], ["driver", "no answer"]),
      true,
      "driver",
      "no answer from the driver: call the driver again",
    ],
    [
      "all have answered",
      calls(["emergency number", "answered"], ["911", "answered"], ["driver", "answered"]),
      true,
      null,
      "",
    ],
    ["below critical only the driver is called", calls(["driver", "answered"]), false, null, ""],
    [
      "who was reached once stays reached",
      calls(["driver", "no answer"], ["driver", "answered"]),
      false,
      null,
      "",
    ],
  ])("%s", (_, made, grave, to, why) => {
    expect(nextCall(made, grave)).toEqual(to === null ? null : { to, why });
  });
});

test.each([
  ["acknowledged", "YES"],
  ["shown", "SHOWN"],
  ["sent", "NOT SEEN"],
  ["failed", "NO:"],
  ["not told", "NOT TOLD"],
] as const)("a driver who is %s is told as %s", (seen, begins) => {
  expect(sawWords({ seen, at_ms: NOW, channel: "push", why: null }, () => "02:12")).toMatch(
    new RegExp(`^${begins}`),
  );
});

describe("the forecast is a band in coarse words", () => {
  const at = (level: "watch" | "critical" | "runaway" | "normal", forecast_s: [number, number] | null) =>
    forecastWords(packRow({ level, forecast_s, sampled_at_ms: NOW, received_at_ms: NOW }), NOW);
  test.each([
    [at("critical", [700, 2100]), "runaway in 10 min to 45 min"],
    [at("watch", [12, 100]), "warning within 2 min"],
    [at("watch", [40_000, 90_000]), "warning in 6 h or more"],
    [at("critical", null), "unknown"],
    [at("runaway", [60, 120]), "unknown"],
    [at("normal", [60, 120]), "unknown"],
  ])("%s", (words, expected) => {
    expect(words).toBe(expected);
  });

  test("old data have none", () => {
    const row = packRow({ level: "watch", forecast_s: [60, 120], sampled_at_ms: NOW, received_at_ms: NOW });
    expect(forecastWords(row, NOW + 61_000)).toBe("unknown");
  });

  test("rows without one come last", () => {
    expect(soonestS(packRow({ forecast_s: [60, 120] }))).toBe(60);
    expect(soonestS(packRow())).toBe(Number.POSITIVE_INFINITY);
  });
});

test("the next alarm is the one after the open one, and the first after the last", () => {
  expect(nextAlarm(["a", "b"], null)).toBe("a");
  expect(nextAlarm(["a", "b"], "a")).toBe("b");
  expect(nextAlarm(["a", "b"], "b")).toBe("a");
  expect(nextAlarm(["a", "b"], "gone")).toBe("a");
  expect(nextAlarm([], "a")).toBeNull();
});

test("no key means two things", () => {
  expect(new Set(KEYS.map((each) => each.key)).size).toBe(KEYS.length);
});

test("a trace has holes where nothing was measured", () => {
  const times = [0, 10, 20, 30, 100, 110];
  const trace = traceOf(
    times,
    [
      [1, 2, null, 3, 4, 5],
      [0, 9, null, 1, 2, 3],
    ],
    {
      fromMs: 0,
      toMs: 110,
      width: 110,
      height: 10,
    },
  );
  expect(trace?.path.match(/M/g)?.length).toBe(2);
  expect(trace?.high).toBe(9);
  expect(traceOf(times, [[null, null]], { fromMs: 0, toMs: 1, width: 1, height: 1 })).toBeNull();
});

test.each([
  ["kmh", 25, "25 m"],
  ["mph", 23, "75 ft"],
  ["kmh", 2400, "2.4 km"],
  ["mph", 805, "0.5 mi"],
] as const)("lengths in %s: %d m is %s", (speed, metres, words) => {
  expect(lengthWords({ temperature: "c", speed }, metres)).toBe(words);
});
