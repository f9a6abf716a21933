/** How old a pack's data is, and what may still be claimed on it. */

import type { Level, PackRow } from "./contract";
import { knownLevel, rankOf } from "./levels";

/** A calm level older than this is grey and says NO DATA (domain rule: 60 s without an evaluation). */
export const FRESH_MS = 60_000;

/**
 * The time that a row's data speaks of: the older of the unit's time and the time of receipt, so that neither late
 * data nor a unit's clock that runs ahead can look fresh. A replay's own times are not now by design: its receipt counts.
 */
export function spokenAtMs(row: PackRow): number | null {
  if (row.provenance === "replayed") return row.received_at_ms;
  if (row.sampled_at_ms === null || row.received_at_ms === null)
    return row.sampled_at_ms ?? row.received_at_ms;
  return Math.min(row.sampled_at_ms, row.received_at_ms);
}

/** Milliseconds since the data was true; null when nothing was ever heard. */
export function dataAgeMs(row: PackRow, nowMs: number): number | null {
  const at = spokenAtMs(row);
  return at === null ? null : Math.max(0, nowMs - at);
}

/** Data that took longer than this to arrive says LATE. Assumed: as long as a calm level may go unheard. */
export const LATE_MS = 60_000;

/** The newest sample came long after it was measured. A replay's times are not now by design. */
export function isLate(row: PackRow): boolean {
  if (row.provenance === "replayed" || row.sampled_at_ms === null || row.received_at_ms === null)
    return false;
  return row.received_at_ms - row.sampled_at_ms > LATE_MS;
}

export function isFresh(row: PackRow, nowMs: number): boolean {
  const age = dataAgeMs(row, nowMs);
  return age !== null && age <= FRESH_MS;
}

/** The level to show: a warning or worse stays as it was last known, a calm level without fresh data is NO DATA. */
export function shownLevel(row: PackRow, nowMs: number): Level {
  const level = knownLevel(row.level);
  if (rankOf(level) >= rankOf("warning") || isFresh(row, nowMs)) return level;
  return "no_data";
}
