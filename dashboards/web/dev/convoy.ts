/**
 * A made-up convoy for working on the pages without the service: a few vehicles, a dozen packs, one that fails.
 * Everything is a function of time, so that any stretch of history can be asked for at any fineness.
 */

import type { Alert, Board, Level, PackRow, PackSeries, Vehicle } from "../src/core/contract.ts";

export const PROBES = 8;
const CELLS = 4;
const LATENCY_MS = 400;

interface MockPack {
  readonly pack_id: string;
  readonly chemistry: string;
  readonly pack_class: string;
  readonly vehicle: number;
  readonly fate: "calm" | "fails" | "warms" | "mute" | "unknown";
}

const VEHICLES = [
  { name: "Volvo VNL 14", latitude_deg: 41.65, longitude_deg: -93.6, heading_deg: 92 },
  { name: "Freightliner 03", latitude_deg: 39.1, longitude_deg: -84.5, heading_deg: 215 },
  { name: "Kenworth T680 22", latitude_deg: 36.17, longitude_deg: -86.78, heading_deg: 131 },
] as const;

const CHEMISTRIES = ["nmc", "nca", "lfp", "lmo"] as const;
const CLASSES = ["mid_life", "end_of_life", "damaged_defective_recalled"] as const;

export const PACKS: readonly MockPack[] = Array.from({ length: 13 }, (_, i) => ({
  pack_id: i === 12 ? "unit:U-7731" : `PK-2026-${String(101 + i * 7).padStart(4, "0")}`,
  chemistry: CHEMISTRIES[i % 4] ?? "nmc",
  pack_class: i === 4 ? "damaged_defective_recalled" : (CLASSES[i % 3] ?? "mid_life"),
  vehicle: i % 3,
  fate: i === 4 ? "fails" : i === 7 ? "warms" : i === 9 ? "mute" : i === 12 ? "unknown" : "calm",
}));

/** A number from 0 to 1 that looks random and is always the same for the same seed. */
function chance(seed: number): number {
  const x = Math.sin(seed * 12.9898) * 43758.5453;
  return x - Math.floor(x);
}

/** degC of one probe. `startMs` is when the mock began; the failing pack begins to fail half a minute later. */
export function temperatureC(pack: number, probe: number, ms: number, startMs: number): number | null {
  const fate = PACKS[pack]?.fate;
  if (fate === "mute" && ms > startMs - 240_000) return null;
  // A hole of a few minutes in everybody's history, an hour before the start.
  if (Math.abs(ms - (startMs - 600_000)) < 90_000) return null;
  if (pack === 2 && probe === 5) return null;
  const day = Math.sin((ms / 86_400_000) * 2 * Math.PI) * 6;
  const calm =
    24 + pack * 0.6 + day + probe * 0.17 + chance(Math.floor(ms / 1000) + probe * 31 + pack * 977) * 0.25;
  if (fate === "warms" && probe === 1)
    return calm + Math.min(33, Math.max(0, (ms - startMs + 900_000) / 30_000));
  if (fate !== "fails" || ms < startMs + 15_000) return calm;
  const t = (ms - startMs - 15_000) / 1000;
  const nearness = Math.exp(-Math.abs(probe - 2) / 1.6);
  return Math.min(780, calm + nearness * (t * 0.55 + Math.exp(t / 26)));
}

function voltageV(pack: number, cell: number, ms: number, startMs: number): number | null {
  if (temperatureC(pack, 0, ms, startMs) === null) return null;
  const sag =
    PACKS[pack]?.fate === "fails" && cell === 1 ? Math.max(0, (ms - startMs - 60_000) / 100_000) : 0;
  return Math.max(0.4, 3.71 - cell * 0.004 - sag + chance(Math.floor(ms / 1000) + cell * 7) * 0.003);
}

export function levelOf(hottest: number | null): Level {
  if (hottest === null) return "no_data";
  return hottest >= 180 ? "runaway" : hottest >= 80 ? "critical" : hottest >= 60 ? "warning" : "normal";
}

function columnOf(length: number, value: (i: number) => number | null): (number | null)[] {
  return Array.from({ length }, (_, i) => value(i));
}

export function rowOf(pack: number, nowMs: number, startMs: number, open: Alert | undefined): PackRow {
  const known = PACKS[pack]!;
  const mute = known.fate === "mute";
  const sampled = mute ? startMs - 240_000 : nowMs - LATENCY_MS;
  const at = mute ? sampled - 1000 : sampled;
  const temperatures = columnOf(PROBES, (probe) => temperatureC(pack, probe, at, startMs));
  const measured = temperatures.filter((value) => value !== null);
  const hottest = measured.length > 0 ? Math.max(...measured) : null;
  const before = temperatureC(
    pack,
    hottest === null ? 0 : temperatures.indexOf(hottest),
    at - 20_000,
    startMs,
  );
  const level = open ? open.peak_level : levelOf(hottest);
  const voltages = columnOf(CELLS, (cell) => voltageV(pack, cell, at, startMs)).filter(
    (value) => value !== null,
  );
  return {
    pack_id: known.pack_id,
    chemistry: known.fate === "unknown" ? null : known.chemistry,
    pack_class: known.fate === "unknown" ? null : known.pack_class,
    vehicle_id: `V-${known.vehicle}`,
    vehicle_name: VEHICLES[known.vehicle]?.name ?? null,
    gateway_id: `GW-${known.vehicle}`,
    unit_id: known.fate === "unknown" ? "U-7731" : `U-${1000 + pack}`,
    provenance: pack === 11 ? "replayed" : "simulated",
    level: mute ? "no_data" : level,
    reasons: open ? open.reasons : [],
    hottest_c: hottest,
    hottest_probe: hottest === null ? null : temperatures.indexOf(hottest) + 1,
    coldest_c: measured.length > 0 ? Math.min(...measured) : null,
    spread_c: hottest === null ? null : hottest - Math.min(...measured),
    rise_c_per_min: hottest === null || before === null ? null : (hottest - before) * 3,
    ambient_c: 21.4,
    min_voltage_v: voltages.length > 0 ? Math.min(...voltages) : null,
    pack_voltage_v: voltages.length > 0 ? 355.2 : null,
    sampled_at_ms: sampled,
    received_at_ms: sampled + LATENCY_MS,
    silent: mute,
    silent_since_ms: mute ? sampled + 30_000 : null,
    temperatures_c: temperatures,
    suspect: pack === 2,
    spark: columnOf(60, (i) => {
      const values = columnOf(PROBES, (probe) => temperatureC(pack, probe, at - (59 - i) * 10_000, startMs));
      const found = values.filter((value) => value !== null);
      return found.length > 0 ? Math.max(...found) : null;
    }),
    open_alert_id: open?.alert_id ?? null,
    unregistered: known.fate === "unknown",
    level_on_board: known.fate === "warms" && open ? "normal" : null,
    on_board_since_ms: known.fate === "warms" && open ? startMs : null,
    level_here: known.fate === "warms" && open ? level : null,
    fleet_id: "midwest",
    forecast_s: open ? [600, 2100] : null,
  };
}

export function vehicleOf(index: number, nowMs: number, startMs: number): Vehicle {
  const base = VEHICLES[index]!;
  const driven = ((nowMs - startMs) / 3_600_000) * 0.9;
  const heading = (base.heading_deg * Math.PI) / 180;
  return {
    vehicle_id: `V-${index}`,
    name: base.name,
    gateway_id: `GW-${index}`,
    latitude_deg: base.latitude_deg + driven * Math.cos(heading),
    longitude_deg: base.longitude_deg + driven * Math.sin(heading),
    speed_m_s: 26.8 - index,
    heading_deg: base.heading_deg,
    fixed_at_ms: nowMs - 2_000,
    online: index !== 2,
    tunnel: null,
  };
}

export function boardOf(
  nowMs: number,
  startMs: number,
  alerts: readonly Alert[],
  intake: Board["intake"],
): Board {
  const open = alerts.filter((alert) => alert.state !== "closed");
  return {
    now_ms: nowMs,
    simulation: true,
    packs: PACKS.map((pack, i) =>
      rowOf(
        i,
        nowMs,
        startMs,
        open.find((alert) => alert.pack_id === pack.pack_id),
      ),
    ),
    vehicles: VEHICLES.map((_, i) => vehicleOf(i, nowMs, startMs)),
    alerts: open,
    intake,
  };
}

/** History begins two hours before the mock; samples are 10 s apart, and buckets wider than that are reduced. */
export function seriesOf(
  pack: number,
  from: number,
  to: number,
  points: number,
  startMs: number,
): PackSeries {
  const first = Math.max(from, startMs - 7_200_000);
  const last = Math.min(to, Date.now());
  const raw = (to - from) / points <= 10_000;
  const step = raw ? 10_000 : (to - from) / points;
  const t_ms: number[] = [];
  for (let t = Math.ceil(first / step) * step; t <= last; t += step) {
    if (!raw || temperatureC(pack, 0, t, startMs) !== null) t_ms.push(Math.round(t));
  }
  const channels = (
    count: number,
    at: (channel: number, ms: number) => number | null,
  ): PackSeries["temperature"] => {
    const mean = columnOf(count, () => null).map((_, c) => t_ms.map((t) => at(c, t)));
    const moved = (by: number): (number | null)[][] =>
      mean.map((column) => column.map((value) => (value === null ? null : value + (raw ? 0 : by))));
    return {
      labels: mean.map((_, c) => String(c + 1)),
      mean,
      min: moved(-0.8),
      max: moved(0.8),
    };
  };
  const single = (value: (ms: number) => number): { min: number[]; mean: number[]; max: number[] } => {
    const mean = t_ms.map(value);
    return { mean, min: mean, max: mean };
  };
  const heat = (t: number): number => Math.max(0, (temperatureC(pack, 2, t, startMs) ?? 0) - 60);
  return {
    from_ms: from,
    to_ms: to,
    raw,
    t_ms,
    temperature: channels(PROBES, (probe, t) => temperatureC(pack, probe, t, startMs)),
    voltage: channels(CELLS, (cell, t) => voltageV(pack, cell, t, startMs)),
    ambient: single((t) => 21 + Math.sin(t / 4_000_000) * 3),
    hydrogen: single((t) => 2 + heat(t) * 3),
    carbon_monoxide: single((t) => 1 + heat(t)),
    voc: single((t) => 0.4 + heat(t) * 2),
    humidity: single((t) => 48 + Math.sin(t / 2_000_000) * 6),
    shock: null,
    provenance: ["simulated"],
  };
}
