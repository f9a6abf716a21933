/** How far the hottest probe is ahead of its neighbours. */

import type { PackRow } from "./contract";

/** degC above the median of the other probes; null where there is no other. */
export function leadC(row: PackRow): number | null {
  if (row.hottest_c === null || row.hottest_probe === null) return null;
  const others = row.temperatures_c.filter(
    (value, i): value is number => value !== null && i !== row.hottest_probe! - 1,
  );
  if (others.length === 0) return null;
  const sorted = others.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return row.hottest_c - median;
}
