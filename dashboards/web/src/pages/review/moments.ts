/** What stood at a moment: values of a pack, the place of a vehicle, the level. */

import type { Level, PackSeries } from "../../core/contract";
import { longestStepMs } from "../../core/series";
import type { Fix, Item } from "./contract";

/** The index of the newest bucket at or before a time; -1 when there is none, or it is older than a gap. */
export function bucketAt(series: PackSeries, atMs: number): number {
  const index = series.t_ms.findLastIndex((t) => t <= atMs);
  const found = series.t_ms[index];
  return found === undefined || atMs - found > longestStepMs(series) ? -1 : index;
}

/** Each probe's mean in degC at a moment; null: not measured then. */
export function probesAt(series: PackSeries, atMs: number): (number | null)[] {
  const index = bucketAt(series, atMs);
  return series.temperature.mean.map((column) => (index < 0 ? null : (column[index] ?? null)));
}

/** The newest fix at or before a time; null: there is none. */
export function fixAt(fixes: readonly Fix[], atMs: number): Fix | null {
  return fixes.findLast((fix) => fix.at_ms <= atMs) ?? null;
}

/** The level of a pack at a moment, by what the rules said up to then. */
export function levelAt(items: readonly Item[], packId: string, atMs: number): Level {
  const said = items.findLast(
    (item) => item.kind === "level" && item.pack_id === packId && item.at_ms <= atMs && item.level !== null,
  );
  return said?.what === "clear" ? "normal" : (said?.level ?? "normal");
}

/** A track as points of a picture of that size, north up, degrees of longitude as wide as they are at its latitude. */
export function trackPoints(
  fixes: readonly Fix[],
  width: number,
  height: number,
): readonly { readonly x: number; readonly y: number; readonly fix: Fix }[] {
  if (fixes.length === 0) return [];
  const latitudes = fixes.map((fix) => fix.latitude_deg);
  const longitudes = fixes.map((fix) => fix.longitude_deg);
  const [south, north] = [Math.min(...latitudes), Math.max(...latitudes)];
  const [west, east] = [Math.min(...longitudes), Math.max(...longitudes)];
  const shrink = Math.cos((((south + north) / 2) * Math.PI) / 180);
  const pad = 14;
  const scale = Math.min(
    (width - 2 * pad) / Math.max((east - west) * shrink, 1e-4),
    (height - 2 * pad) / Math.max(north - south, 1e-4),
  );
  const [middleX, middleY] = [(west + east) / 2, (south + north) / 2];
  return fixes.map((fix) => ({
    x: width / 2 + (fix.longitude_deg - middleX) * shrink * scale,
    y: height / 2 - (fix.latitude_deg - middleY) * scale,
    fix,
  }));
}

export function bytesWords(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  if (bytes < 1024 * 1024) return `${(bytes / 1024).toFixed(1)} KiB`;
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}
