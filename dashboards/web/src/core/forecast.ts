/** How long until the next level at the present trend: a band in coarse words, or "unknown". Never a countdown. */

import type { Level, PackRow } from "./contract";
import { isFresh } from "./freshness";
import { LEVEL_LOOKS } from "./levels";

const NEXT: Partial<Record<Level, Level>> = { watch: "warning", warning: "critical", critical: "runaway" };

/** Edges that a band is widened to, s: nobody should read seconds out of a trend. */
const EDGES_S = [
  60, 120, 300, 600, 900, 1200, 1800, 2700, 3600, 5400, 7200, 10800, 14400, 21600, 43200, 86400,
];

/** "runaway in 10 to 40 min", "warning within 2 min", "critical in 6 h or more", "unknown". */
export function forecastWords(row: PackRow, nowMs: number): string {
  const next = NEXT[row.level];
  if (row.forecast_s === null || next === undefined || !isFresh(row, nowMs)) return "unknown";
  const [earliest, latest] = row.forecast_s;
  const from = EDGES_S.findLast((edge) => edge <= earliest);
  const to = EDGES_S.find((edge) => edge >= latest);
  const word = LEVEL_LOOKS[next].word.toLowerCase();
  if (to === undefined) return `${word} in ${spanWords(from ?? 60)} or more`;
  return from === undefined
    ? `${word} within ${spanWords(to)}`
    : `${word} in ${spanWords(from)} to ${spanWords(to)}`;
}

/** By which rows of one level are sorted: what may rise soonest first, then those of which nothing is known. */
export function soonestS(row: PackRow): number {
  return row.forecast_s?.[0] ?? Number.POSITIVE_INFINITY;
}

function spanWords(seconds: number): string {
  return seconds < 5400 ? `${seconds / 60} min` : `${seconds / 3600} h`;
}
