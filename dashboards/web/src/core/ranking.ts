/** The order of the board: worst first, and still while a person is pointing at it. */

import type { PackRow } from "./contract";
import { soonestS } from "./forecast";
import { shownLevel } from "./freshness";
import { rankOf } from "./levels";

/** A hold ends this long after the last move or key press: a mouse left lying on the list must not freeze a wall. */
export const HOLD_MS = 20_000;

/**
 * Rows by level, then by what may rise soonest, then hottest, then id. A row without a temperature comes after those that
 * have one.
 */
export function worstFirst(rows: Iterable<PackRow>, nowMs: number): PackRow[] {
  const ranked = Array.from(rows, (row) => ({
    row,
    rank: rankOf(shownLevel(row, nowMs)),
    soonest: soonestS(row),
  }));
  ranked.sort(
    (a, b) =>
      b.rank - a.rank ||
      // Two that are unknown differ by nothing: infinity minus infinity is no number.
      (a.soonest === b.soonest ? 0 : a.soonest - b.soonest) ||
      (b.row.hottest_c ?? -Infinity) - (a.row.hottest_c ?? -Infinity) ||
      (a.row.pack_id < b.row.pack_id ? -1 : a.row.pack_id > b.row.pack_id ? 1 : 0),
  );
  return ranked.map(({ row }) => row);
}

/** The order shown before, without what is gone, and with what is new at the end. */
export function heldOrder(shown: readonly string[], wanted: readonly string[]): string[] {
  const present = new Set(wanted);
  const kept = shown.filter((id) => present.has(id));
  const known = new Set(kept);
  return [...kept, ...wanted.filter((id) => !known.has(id))];
}

/** How many rows stand elsewhere than worst-first would put them. */
export function displaced(shown: readonly string[], wanted: readonly string[]): number {
  return shown.reduce((count, id, place) => count + (wanted[place] === id ? 0 : 1), 0);
}

export function isHeld(inside: boolean, lastTouchMs: number, nowMs: number): boolean {
  return inside && nowMs - lastTouchMs < HOLD_MS;
}
