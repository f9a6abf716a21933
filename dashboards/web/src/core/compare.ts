/** Histories beside each other: one's values at the other's times, the stretches of a level, and heat in steps. */

import type { PackSeries } from "./contract";
import { type Column, longestStepMs } from "./series";

/**
 * A column's value at or before each time, not older than `longestMs`; null where there is none, and where the chart
 * that it is drawn into has a hole itself.
 */
export function alignedTo(
  times_ms: readonly number[],
  t_ms: readonly number[],
  column: readonly (number | null)[],
  longestMs: number,
  holes: readonly boolean[] = [],
): Column {
  let at = -1;
  return times_ms.map((time, i) => {
    while (at + 1 < t_ms.length && (t_ms[at + 1] ?? Infinity) <= time) at++;
    const taken = t_ms[at];
    if (taken === undefined || time - taken > longestMs || holes[i]) return null;
    return column[at] ?? null;
  });
}

/** The hottest of all probes in each bucket, degC. */
export function hottestOf(series: PackSeries): Column {
  return series.t_ms.map((_, i) => {
    const values = series.temperature.max.map((column) => column[i] ?? null);
    return values.reduce((a, b) => (a === null ? b : b === null ? a : Math.max(a, b)), null);
  });
}

export interface LevelRun {
  readonly from_ms: number;
  readonly to_ms: number;
  readonly level: string;
}

/** Stretches in which a level stood; a gap in the samples ends one. */
export function levelRuns(t_ms: readonly number[], levels: readonly string[]): LevelRun[] {
  const longest = longestStepMs({ t_ms });
  const runs: { from_ms: number; to_ms: number; level: string }[] = [];
  t_ms.forEach((at, i) => {
    const last = runs.at(-1);
    const level = levels[i] ?? "";
    if (last !== undefined && at - last.to_ms <= longest) {
      last.to_ms = at;
      if (last.level === level) return;
    }
    runs.push({ from_ms: at, to_ms: at, level });
  });
  return runs;
}

/** The lower edges of the colours' steps: of a probe's degC, and of how far it stands above the middle of its pack. */
const TEMPERATURE_EDGES_C = [10, 20, 25, 30, 35, 40, 50, 60, 80] as const;
const LEAD_EDGES_C = [-0.5, 0.5, 1, 1.5, 2, 3, 5, 8, 12] as const;

/** 0 (cool) to 9 (burning). */
export function heatStep(celsius: number): number {
  return TEMPERATURE_EDGES_C.filter((edge) => celsius >= edge).length;
}

/** 0 (behind the others) to 9 (far above them). */
export function leadStep(celsius: number): number {
  return LEAD_EDGES_C.filter((edge) => celsius >= edge).length;
}

/** How far each probe stands above the median of those that measured, degC. */
export function leads(temperatures_c: readonly (number | null)[]): (number | null)[] {
  const measured = temperatures_c.filter((c) => c !== null).toSorted((a, b) => a - b);
  const middle = measured.length >> 1;
  const high = measured[middle] ?? 0;
  const median = measured.length % 2 === 1 ? high : (high + (measured[middle - 1] ?? high)) / 2;
  return temperatures_c.map((c) => (c === null ? null : c - median));
}

/** Columns of a drawing nearly twice as wide as it is high, as packs are. */
export function mapColumns(probes: number): number {
  return Math.max(1, Math.ceil(Math.sqrt(probes * 1.6)));
}
