/** Vehicles as marks on a map: each by the worst of its packs, so that a cluster can show the worst of its vehicles. */

import type { Level, PackRow, Vehicle } from "./contract";
import { shownLevel } from "./freshness";
import { rankOf } from "./levels";

/** A fix older than this says where a vehicle was. Assumed: five minutes are five miles. */
export const STALE_FIX_MS = 300_000;

export interface Mark {
  readonly type: "Feature";
  readonly geometry: { readonly type: "Point"; readonly coordinates: [number, number] };
  readonly properties: {
    readonly gateway: string;
    readonly name: string;
    /** Of the worst pack; what clusters take the highest of. */
    readonly rank: number;
    /** Degrees clockwise from north; -1 = not known, or it stands. */
    readonly heading: number;
    readonly stale: boolean;
  };
}

/** Below this it stands: a receiver at rest says less. */
const MOVES_FROM_M_S = 1.5;

/** The worst level of each vehicle's packs among `rows`, by gateway. */
export function worstByGateway(rows: Iterable<PackRow>, nowMs: number): Map<string, Level> {
  const worst = new Map<string, Level>();
  for (const row of rows) {
    if (row.gateway_id === null) continue;
    const level = shownLevel(row, nowMs);
    const known = worst.get(row.gateway_id);
    if (known === undefined || rankOf(level) > rankOf(known)) worst.set(row.gateway_id, level);
  }
  return worst;
}

/** A mark for each vehicle that carries one of the rows and has a fix. */
export function marksOf(
  worst: ReadonlyMap<string, Level>,
  vehicles: ReadonlyMap<string, Vehicle>,
  nowMs: number,
): Mark[] {
  const marks: Mark[] = [];
  for (const [gateway, level] of worst) {
    const vehicle = vehicles.get(gateway);
    if (vehicle === undefined || vehicle.latitude_deg === null || vehicle.longitude_deg === null) continue;
    const moves = vehicle.heading_deg !== null && (vehicle.speed_m_s ?? 0) >= MOVES_FROM_M_S;
    marks.push({
      type: "Feature",
      geometry: { type: "Point", coordinates: [vehicle.longitude_deg, vehicle.latitude_deg] },
      properties: {
        gateway,
        name: vehicle.name,
        rank: rankOf(level),
        heading: moves ? Math.round(vehicle.heading_deg ?? 0) : -1,
        stale: vehicle.fixed_at_ms === null || nowMs - vehicle.fixed_at_ms > STALE_FIX_MS,
      },
    });
  }
  return marks;
}

/** West, south, east, north around all marks; null without any. */
export function boundsOf(marks: readonly Mark[]): [number, number, number, number] | null {
  if (marks.length === 0) return null;
  const longitudes = marks.map((mark) => mark.geometry.coordinates[0]);
  const latitudes = marks.map((mark) => mark.geometry.coordinates[1]);
  const least = (values: number[]): number => values.reduce((a, b) => Math.min(a, b));
  const most = (values: number[]): number => values.reduce((a, b) => Math.max(a, b));
  return [least(longitudes), least(latitudes), most(longitudes), most(latitudes)];
}
