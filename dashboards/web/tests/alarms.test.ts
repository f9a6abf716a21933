import { describe, expect, test } from "vitest";

import {
  type ActingRole,
  type Hearing,
  SOUND_EVERY_MS,
  afterConflict,
  fillsBanner,
  isAcknowledgedAlarm,
  isNotice,
  mostUrgentFirst,
  mustSound,
  newlyUrgent,
  nextSound,
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
      acknowledged({ state: "raised", acknowledged_roles: [] }),
      "banner",
    ],
    ["cleared without anybody seeing it fills the banner", alert({ state: "cleared" }), "banner"],
    ["what was critical stays an alarm when it eases", alert({ level: "warning" }), "banner"],
    ["a warning is a notice", alert({ level: "warning", peak_level: "warning" }), "notice"],
    ["a closed alert is nowhere", alert({ state: "closed" }), "nowhere"],
  ])("%s", (_, shown, place) => {
    const places = [
      fillsBanner(shown, "dispatcher") ? "banner" : [],
      isAcknowledgedAlarm(shown, "dispatcher") ? "strip" : [],
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
    [
      "another role's acknowledgement is silent",
      alert(),
      alert({ acknowledged_roles: ["driver"], version: 2 }),
      false,
    ],
    ["acknowledged already when first seen is silent", null, acknowledged(), false],
  ])("%s", (_, before, after, heard) => {
    expect(newlyUrgent(before ? held(before) : held(), held(after), "dispatcher").length === 1).toBe(heard);
  });
});

describe("a board sounds until its own role has acknowledged", () => {
  const seenBy = (...roles: string[]): Alert => alert({ acknowledged_roles: roles });
  test.each<[string, ActingRole, Alert, { sounds: boolean; banner: boolean }]>([
    ["nobody has: each board", "safety lead", seenBy(), { sounds: true, banner: true }],
    [
      "the dispatcher has: the safety lead's goes on",
      "safety lead",
      acknowledged(),
      { sounds: true, banner: true },
    ],
    [
      "the dispatcher has: the dispatcher's ends",
      "dispatcher",
      acknowledged(),
      { sounds: false, banner: false },
    ],
    [
      "the safety lead has: the dispatcher's goes on",
      "dispatcher",
      seenBy("safety lead"),
      { sounds: true, banner: true },
    ],
    [
      "the safety lead has: theirs ends, and shows that the dispatcher has not",
      "safety lead",
      seenBy("safety lead"),
      { sounds: false, banner: true },
    ],
    ["the driver has: no board ends", "dispatcher", seenBy("driver"), { sounds: true, banner: true }],
    ["who looks only hears until the dispatcher has", null, acknowledged(), { sounds: false, banner: false }],
    [
      "a warning never sounds",
      "dispatcher",
      alert({ level: "warning", peak_level: "warning" }),
      { sounds: false, banner: false },
    ],
    ["nor does what is closed", "safety lead", alert({ state: "closed" }), { sounds: false, banner: false }],
  ])("%s", (_, role, shown, { sounds, banner }) => {
    expect(mustSound(shown, role)).toBe(sounds);
    expect(fillsBanner(shown, role)).toBe(banner);
  });
});

describe("the next sound", () => {
  const silence: Hearing = { news: false, waiting: false, blind: false, sounded_ms: 100_000 };
  test.each<[string, Partial<Hearing>, ReturnType<typeof nextSound>]>([
    ["nothing to hear", {}, null],
    [
      "an alarm, where nothing sounded before: at once",
      { news: true, sounded_ms: null },
      { sound: "alarm", at_ms: -Infinity },
    ],
    [
      "an alarm right after any sound waits",
      { news: true, waiting: true },
      { sound: "alarm", at_ms: 110_000 },
    ],
    ["an alarm goes before blindness", { news: true, blind: true }, { sound: "alarm", at_ms: 110_000 }],
    ["blindness waits as well", { blind: true, waiting: true }, { sound: "blind", at_ms: 110_000 }],
    ["an alarm that waits sounds again", { waiting: true }, { sound: "alarm", at_ms: 115_000 }],
  ])("%s", (_, there, next) => {
    expect(nextSound({ ...silence, ...there })).toEqual(next);
  });

  test("alarms by the hundred, and a line that breaks each second: never two sounds in ten", () => {
    let hearing: Hearing = { ...silence, sounded_ms: null };
    const sounded: number[] = [];
    for (let now_ms = 0; now_ms < 120_000; now_ms += 100) {
      hearing = { ...hearing, news: true, waiting: true, blind: now_ms % 1000 === 0 || hearing.blind };
      const next = nextSound(hearing);
      if (next === null || next.at_ms > now_ms) continue;
      sounded.push(now_ms);
      hearing = { ...hearing, [next.sound === "alarm" ? "news" : "blind"]: false, sounded_ms: now_ms };
    }
    const gaps = sounded.slice(1).map((at_ms, i) => at_ms - (sounded[i] ?? 0));
    expect(sounded[0]).toBe(0);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(SOUND_EVERY_MS);
    expect(sounded.length).toBe(12);
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
