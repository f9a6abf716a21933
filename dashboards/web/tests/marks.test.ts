import { describe, expect, test } from "vitest";

import type { AlertEvent } from "../src/core/contract";
import { lifeKey, momentsOf } from "../src/core/marks";
import { NOW_MS, alert } from "./made";

function step(changes: Partial<AlertEvent>): AlertEvent {
  return {
    alert_id: "a-1",
    at_ms: NOW_MS,
    sampled_at_ms: null,
    action: "raise",
    from_state: null,
    to_state: "raised",
    level: "warning",
    actor: null,
    comment: null,
    reasons: [],
    ...changes,
  };
}

describe("moments on the time axis", () => {
  const shown = alert({ peak_level: "runaway", level: "runaway", version: 4 });

  test("each level stands where its sample was taken, not where the alert ended up", () => {
    const life = [
      step({ level: "warning", sampled_at_ms: NOW_MS - 90_000 }),
      step({ level: "critical", action: "worsen", sampled_at_ms: NOW_MS - 60_000 }),
      step({ level: "critical", action: "acknowledge", actor: "Ana", at_ms: NOW_MS - 30_000 }),
      step({ level: "critical", action: "close", actor: "Ana", at_ms: NOW_MS }),
    ];
    expect(momentsOf([shown], new Map([[lifeKey(shown), life]]))).toEqual([
      { at_ms: NOW_MS - 90_000, level: "warning", text: "warning" },
      { at_ms: NOW_MS - 60_000, level: "critical", text: "critical" },
      { at_ms: NOW_MS - 30_000, level: "critical", text: "ack" },
      { at_ms: NOW_MS, level: "critical", text: "close" },
    ]);
  });

  test("heat that came back says so, at its sample's time", () => {
    const life = [step({ level: "critical", action: "renew", sampled_at_ms: NOW_MS - 60_000 })];
    expect(momentsOf([shown], new Map([[lifeKey(shown), life]]))).toEqual([
      { at_ms: NOW_MS - 60_000, level: "critical", text: "hot again" },
    ]);
  });

  test("until its life was read an alert stands in outline", () => {
    const closed = alert({ closed_at_ms: NOW_MS, closed_by: "Ana", close_reason: "unloaded" });
    expect(momentsOf([closed], new Map()).map((moment) => moment.text)).toEqual(["raised", "closed"]);
  });

  test("a life that was read at an older version is not this one's", () => {
    const life = new Map([[lifeKey(alert({ version: 3 })), [step({})]]]);
    expect(momentsOf([shown], life).map((moment) => moment.text)).toEqual(["raised"]);
  });
});
