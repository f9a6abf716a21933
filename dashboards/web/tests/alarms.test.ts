import { describe, expect, test } from "vitest";

import {
  afterConflict,
  isAcknowledgedAlarm,
  isNotice,
  isUnacknowledged,
  mostUrgentFirst,
  newlyUrgent,
  subjectWords,
} from "../src/core/alarms";
import type { Alert } from "../src/core/contract";
import { NOW_MS, acknowledged, alert } from "./made";

describe("where an alert is shown", () => {
  test.each<[string, Alert, "banner" | "strip" | "notice" | "nowhere"]>([
    ["a raised critical fills the banner", alert(), "banner"],
    ["a raised runaway fills the banner", alert({ level: "runaway", peak_level: "runaway" }), "banner"],
    ["an acknowledged critical stays on the strip", acknowledged(), "strip"],
    [
      "acknowledged, then worse: raised again, it fills the banner",
      acknowledged({ state: "raised" }),
      "banner",
    ],
    ["cleared without anybody seeing it fills the banner", alert({ state: "cleared" }), "banner"],
    ["what was critical stays an alarm when it eases", alert({ level: "warning" }), "banner"],
    ["a warning is a notice", alert({ level: "warning", peak_level: "warning" }), "notice"],
    ["a closed alert is nowhere", alert({ state: "closed" }), "nowhere"],
  ])("%s", (_, shown, place) => {
    const places = [
      isUnacknowledged(shown) ? "banner" : [],
      isAcknowledgedAlarm(shown) ? "strip" : [],
      isNotice(shown) ? "notice" : [],
    ].flat();
    expect(places).toEqual(place === "nowhere" ? [] : [place]);
  });
});

test("most urgent first: level, then the longest wait", () => {
  const young = alert({ alert_id: "young", raised_at_ms: NOW_MS });
  const old = alert({ alert_id: "old", raised_at_ms: NOW_MS - 60_000 });
  const worst = alert({ alert_id: "worst", level: "runaway", peak_level: "runaway", raised_at_ms: NOW_MS });
  expect(mostUrgentFirst([young, old, worst]).map((one) => one.alert_id)).toEqual(["worst", "old", "young"]);
});

describe("what must be heard", () => {
  const held = (...alerts: Alert[]): Map<string, Alert> => new Map(alerts.map((one) => [one.alert_id, one]));
  test.each<[string, Alert | null, Alert, boolean]>([
    ["a new critical", null, alert(), true],
    ["a new warning is silent", null, alert({ level: "warning", peak_level: "warning" }), false],
    [
      "a warning that becomes critical",
      alert({ level: "warning", peak_level: "warning" }),
      alert({ version: 2 }),
      true,
    ],
    ["a critical that becomes runaway", alert(), alert({ level: "runaway", peak_level: "runaway" }), true],
    ["a changed reason is silent", alert(), alert({ reasons: ["probe 7 is 84.0 degC"], version: 2 }), false],
    ["an acknowledgement is silent", alert(), acknowledged(), false],
    [
      "raised again after an acknowledgement",
      acknowledged(),
      alert({ acknowledged_by: "Ana", version: 3 }),
      true,
    ],
    ["acknowledged already when first seen is silent", null, acknowledged(), false],
  ])("%s", (_, before, after, heard) => {
    expect(newlyUrgent(before ? held(before) : held(), held(after)).length === 1).toBe(heard);
  });
});

describe("an alert that changed while a person decided", () => {
  test.each<[string, Alert, Alert | undefined, "repeat" | "show"]>([
    ["new numbers in the reason: repeat", alert(), alert({ version: 2, reasons: ["hotter"] }), "repeat"],
    ["it got worse: show", alert(), alert({ version: 2, level: "runaway", peak_level: "runaway" }), "show"],
    ["somebody else acknowledged it: show", alert(), acknowledged(), "show"],
    ["somebody closed it: show", alert(), undefined, "show"],
  ])("%s", (_, shown, current, step) => {
    expect(afterConflict(shown, current)).toBe(step);
  });
});

test("an alert names its pack, its unregistered unit, or at least its gateway", () => {
  expect(subjectWords(alert())).toBe("pack P-1");
  expect(subjectWords(alert({ kind: "unregistered", pack_id: null }))).toBe("unregistered unit U-1");
  expect(subjectWords(alert({ pack_id: null, unit_id: null }))).toBe("gateway GW-1");
});
