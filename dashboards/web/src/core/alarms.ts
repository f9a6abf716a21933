/** Which alerts call for a person, in which order, and what is said of each. */

import type { Alert, Level } from "./contract";
import { demandsPerson, rankOf, worse } from "./levels";

/** The level to show of an alert: while a person has not closed it, the worst that it ever was. */
export function alarmLevel(alert: Alert): Level {
  return worse(alert.peak_level, alert.level);
}

/** Critical or worse, and nobody has taken it: it fills the banner. */
export function isUnacknowledged(alert: Alert): boolean {
  return (
    demandsPerson(alarmLevel(alert)) &&
    alert.state !== "closed" &&
    // An alert that got worse is raised again, whoever acknowledged it before.
    (alert.state === "raised" || alert.acknowledged_by === null)
  );
}

/** Critical or worse, not closed, and taken by whom it waited for at this board: it stays on the strip. */
export function isAcknowledgedAlarm(alert: Alert, role: ActingRole): boolean {
  return demandsPerson(alarmLevel(alert)) && alert.state !== "closed" && !fillsBanner(alert, role);
}

/** Open, but below critical: a notice. */
export function isNotice(alert: Alert): boolean {
  return !demandsPerson(alarmLevel(alert)) && alert.state !== "closed";
}

/** Worst first; of equals, the one that has waited longest. */
export function mostUrgentFirst(alerts: readonly Alert[]): Alert[] {
  return alerts.toSorted(
    (a, b) =>
      rankOf(alarmLevel(b)) - rankOf(alarmLevel(a)) ||
      a.raised_at_ms - b.raised_at_ms ||
      (a.alert_id < b.alert_id ? -1 : 1),
  );
}

/** In which role a person acknowledges; null: they look only. */
export type ActingRole = "dispatcher" | "safety lead" | null;

/**
 * Whether a board sounds for it: until the board's own role has acknowledged, whoever else did. Who looks only hears it
 * until the dispatcher has.
 */
export function mustSound(alert: Alert, role: ActingRole): boolean {
  if (role === null) return isUnacknowledged(alert);
  return (
    demandsPerson(alarmLevel(alert)) && alert.state !== "closed" && !alert.acknowledged_roles.includes(role)
  );
}

/** Whether it fills a board's banner: the dispatcher has not acknowledged it, or the board's own role has not. */
export function fillsBanner(alert: Alert, role: ActingRole): boolean {
  return isUnacknowledged(alert) || mustSound(alert, role);
}

/** Alarms that must be heard now: those for which a board did not have to sound before, or that were not as bad. */
export function newlyUrgent(
  before: ReadonlyMap<string, Alert>,
  after: ReadonlyMap<string, Alert>,
  role: ActingRole,
): Alert[] {
  const urgent: Alert[] = [];
  for (const alert of after.values()) {
    const known = before.get(alert.alert_id);
    if (alert === known || !demandsPerson(alarmLevel(alert))) continue;
    const worseNow = known !== undefined && rankOf(alarmLevel(alert)) > rankOf(alarmLevel(known));
    const calledBefore = known !== undefined && mustSound(known, role);
    if (worseNow || (mustSound(alert, role) && !calledBefore)) urgent.push(alert);
  }
  return mostUrgentFirst(urgent);
}

/** All that a page lets hear stays at or below one sound in so long: more is noise, and noise gets switched off. */
export const SOUND_EVERY_MS = 10_000;
/** An alarm that waits sounds again this often. Assumed: often enough for a return from the coffee machine. */
export const SOUND_AGAIN_MS = 15_000;

/** What there is to hear, by a clock that is never set. */
export interface Hearing {
  /** An alarm rose, and has not been heard yet. */
  readonly news: boolean;
  /** An alarm waits for this board's role. */
  readonly waiting: boolean;
  /** The page went blind, and has not said so yet. */
  readonly blind: boolean;
  /** When anything sounded last; null: never. */
  readonly sounded_ms: number | null;
}

/** The next sound and when it is due; null: silence. What is due earlier than now is due now. */
export function nextSound(hearing: Hearing): { sound: "alarm" | "blind"; at_ms: number } | null {
  const since_ms = hearing.sounded_ms ?? -Infinity;
  if (hearing.news) return { sound: "alarm", at_ms: since_ms + SOUND_EVERY_MS };
  if (hearing.blind) return { sound: "blind", at_ms: since_ms + SOUND_EVERY_MS };
  return hearing.waiting ? { sound: "alarm", at_ms: since_ms + SOUND_AGAIN_MS } : null;
}

/** Silence, coverage, instruments, the cab's equipment: about the watching, not about a pack. */
export function isAboutWatching(alert: Alert): boolean {
  return ["silence", "coverage", "instrument", "cab"].includes(alert.kind);
}

/** Nobody need hear of it now. A shelf whose time is over is none. */
export function isShelved(alert: Alert, nowMs: number): boolean {
  return alert.shelved_until_ms !== null && nowMs < alert.shelved_until_ms;
}

/** In which role an account's people acknowledge. */
export function actingRole(accountRole: string): ActingRole {
  if (accountRole === "safety") return "safety lead";
  return accountRole === "dispatcher" || accountRole === "administrator" ? "dispatcher" : null;
}

/** Whether an account may close what was critical. */
export function mayRelease(accountRole: string): boolean {
  return accountRole === "safety" || accountRole === "administrator";
}

/** "pack P-0003", or the unit where nobody registered what it watches. */
export function subjectWords(alert: Alert): string {
  if (alert.kind === "coverage" || alert.kind === "cab")
    return alert.vehicle_name ?? `gateway ${alert.gateway_id ?? "not known"}`;
  if (alert.kind === "unregistered" || alert.pack_id === null) {
    return alert.unit_id === null
      ? `gateway ${alert.gateway_id ?? "not known"}`
      : `unregistered unit ${alert.unit_id}`;
  }
  return `pack ${alert.pack_id}`;
}

/** The board's row that it speaks of: a pack's, or that of a unit which watches no pack. */
export function rowKey(alert: Alert): string | null {
  return alert.pack_id ?? (alert.unit_id === null ? null : `unit:${alert.unit_id}`);
}

/** When it began to be true, by the unit's time where there is one. */
export function sinceMs(alert: Alert): number {
  return alert.sampled_at_ms ?? alert.raised_at_ms;
}

/**
 * What to do when the service answers that the alert has changed since it was shown. A person's word stands for what
 * they saw: it is repeated only when nothing that they would decide by is different.
 */
export function afterConflict(shown: Alert, current: Alert | undefined): "repeat" | "show" {
  if (current === undefined || current.state !== shown.state) return "show";
  if (current.acknowledged_by !== shown.acknowledged_by) return "show";
  return rankOf(alarmLevel(current)) > rankOf(alarmLevel(shown)) ? "show" : "repeat";
}
