/** What happened to a pack's alerts, as moments on its time axis. */

import { sinceMs } from "./alarms";
import type { Alert, AlertEvent, Level } from "./contract";
import { LEVEL_LOOKS, knownLevel } from "./levels";

export interface Moment {
  readonly at_ms: number;
  readonly level: Level;
  readonly text: string;
}

/** The steps of alerts whose lives were read, by alert and version. */
export type Lives = ReadonlyMap<string, readonly AlertEvent[]>;

export function lifeKey(alert: Alert): string {
  return `${alert.alert_id}/${alert.version}`;
}

/**
 * One moment a step: a level where the engine raised or changed it (by the sample's time, which is the axis's), and what
 * people did (by the clock on the wall). Until an alert's life was read, its beginning and end stand in.
 */
export function momentsOf(alerts: readonly Alert[], lives: Lives): Moment[] {
  return alerts.flatMap((alert) => lives.get(lifeKey(alert))?.map(stepMoment) ?? outline(alert));
}

/** Steps of the engine that say more than the level they leave. */
const ENGINE_WORDS: Readonly<Record<string, string>> = {
  clear: "cleared",
  renew: "hot again",
  compare: "on board",
  cab: "cab",
};

function stepMoment(step: AlertEvent): Moment {
  const level = knownLevel(step.level);
  if (step.actor !== null)
    return { at_ms: step.at_ms, level, text: step.action === "acknowledge" ? "ack" : step.action };
  const text = ENGINE_WORDS[step.action] ?? LEVEL_LOOKS[level].word.toLowerCase();
  return { at_ms: step.sampled_at_ms ?? step.at_ms, level, text };
}

function outline(alert: Alert): Moment[] {
  const began = { at_ms: sinceMs(alert), level: alert.peak_level, text: "raised" };
  if (alert.closed_at_ms === null) return [began];
  return [began, { at_ms: alert.closed_at_ms, level: alert.peak_level, text: "closed" }];
}
