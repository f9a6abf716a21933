/** A pack's history made ready for a chart: seconds on the time axis, and holes where nothing was measured. */

import type { PackSeries } from "./contract";

export type Column = (number | null)[];

export interface Gapped {
  /** Seconds UTC, as uPlot wants them. */
  readonly times_s: number[];
  readonly columns: Column[];
}

/** A step longer than this many expected steps is a gap: the same three intervals after which a unit is silent. */
const GAP_STEPS = 3;
/** A unit's normal report interval (assumed where the series is too short to tell). */
const REPORT_INTERVAL_MS = 10_000;

/**
 * The longest step that still counts as continuous: three times what is usual in this series or, for buckets,
 * between buckets; never less than three report intervals, since a unit in doubt reports ten times as often.
 */
export function longestStepMs(
  series: Pick<PackSeries, "t_ms">,
  reportIntervalMs = REPORT_INTERVAL_MS,
): number {
  const steps = series.t_ms.slice(1).map((t, i) => t - (series.t_ms[i] ?? t));
  steps.sort((a, b) => a - b);
  const median = steps[Math.floor((steps.length - 1) / 2)] ?? reportIntervalMs;
  return GAP_STEPS * Math.max(median, reportIntervalMs);
}

/** Puts a row of nulls into every step longer than `longestMs`, so that no line is drawn across it. */
export function withGaps(
  t_ms: readonly number[],
  columns: readonly (readonly (number | null)[])[],
  longestMs: number,
): Gapped {
  const times_s: number[] = [];
  const gapped: Column[] = columns.map(() => []);
  t_ms.forEach((t, i) => {
    const before = t_ms[i - 1];
    if (before !== undefined && t - before > longestMs) {
      times_s.push((before + t) / 2000);
      for (const column of gapped) column.push(null);
    }
    times_s.push(t / 1000);
    columns.forEach((column, c) => gapped[c]?.push(column[i] ?? null));
  });
  return { times_s, columns: gapped };
}

/** The first and last time at which any temperature or voltage was measured; null when there is none. */
export function measuredSpan(series: PackSeries): { from_ms: number; to_ms: number } | null {
  const columns = [...series.temperature.mean, ...series.voltage.mean];
  const measured = series.t_ms.filter((_, i) => columns.some((column) => (column[i] ?? null) !== null));
  const [first, last] = [measured[0], measured.at(-1)];
  return first === undefined || last === undefined ? null : { from_ms: first, to_ms: last };
}

/** The index of the newest bucket in which a column has a value; -1 when it has none. */
export function newest(column: Column): number {
  return column.findLastIndex((value) => value !== null);
}
