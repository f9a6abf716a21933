/** Rows and alerts for tests: a calm pack and a raised critical alert, changed as a test needs. */

import type { Alert, Board, PackRow, PackSeries, SingleSeries, Vehicle } from "../src/core/contract";

export const NOW_MS = 1_796_112_000_000;

export function packRow(changes: Partial<PackRow> = {}): PackRow {
  return {
    pack_id: "P-1",
    chemistry: "nmc",
    pack_class: "mid_life",
    vehicle_id: "V-1",
    vehicle_name: "Truck 1",
    gateway_id: "GW-1",
    unit_id: "U-1",
    provenance: "measured",
    level: "normal",
    reasons: [],
    hottest_c: 25,
    hottest_probe: 1,
    coldest_c: 24,
    spread_c: 1,
    rise_c_per_min: 0,
    ambient_c: 20,
    min_voltage_v: 3.7,
    pack_voltage_v: 355,
    sampled_at_ms: NOW_MS - 5_000,
    received_at_ms: NOW_MS - 4_000,
    silent: false,
    silent_since_ms: null,
    temperatures_c: [25, 24],
    suspect: false,
    spark: [25, 25],
    open_alert_id: null,
    unregistered: false,
    level_on_board: null,
    on_board_since_ms: null,
    level_here: null,
    fleet_id: "midwest",
    forecast_s: null,
    ...changes,
  };
}

export function alert(changes: Partial<Alert> = {}): Alert {
  return {
    alert_id: "a-1",
    kind: "thermal",
    cause: "ceiling",
    pack_id: "P-1",
    unit_id: "U-1",
    gateway_id: "GW-1",
    vehicle_name: "Truck 1",
    level: "critical",
    peak_level: "critical",
    state: "raised",
    provenance: "measured",
    reasons: ["probe 7 is 83.4 degC, above 80 degC"],
    sampled_at_ms: NOW_MS - 20_000,
    raised_at_ms: NOW_MS - 19_000,
    cleared_at_ms: null,
    acknowledged_by: null,
    acknowledged_at_ms: null,
    acknowledgement_comment: null,
    closed_by: null,
    closed_at_ms: null,
    close_reason: null,
    version: 1,
    acknowledged_roles: [],
    shelved_by: null,
    shelved_until_ms: null,
    shelf_reason: null,
    releasing_authority: null,
    ...changes,
  };
}

export function acknowledged(changes: Partial<Alert> = {}): Alert {
  return alert({
    state: "acknowledged",
    acknowledged_by: "Ana",
    acknowledged_at_ms: NOW_MS,
    acknowledged_roles: ["dispatcher"],
    version: 2,
    ...changes,
  });
}

export function vehicle(changes: Partial<Vehicle> = {}): Vehicle {
  return {
    vehicle_id: "V-1",
    name: "Truck 1",
    gateway_id: "GW-1",
    latitude_deg: 41.6,
    longitude_deg: -93.6,
    speed_m_s: 22,
    heading_deg: 90,
    fixed_at_ms: null,
    online: true,
    tunnel: null,
    ...changes,
  };
}

export function board(changes: Partial<Board> = {}): Board {
  return {
    now_ms: NOW_MS,
    simulation: false,
    packs: [],
    vehicles: [],
    alerts: [],
    intake: {
      messages: 1,
      batches: 1,
      values: 1,
      stored_rows: 1,
      duplicate_batches: 0,
      refused_by_reason: {},
      dropped: 0,
      broker_oversize: 0,
      broker_denied: 0,
      broker_refused_sign_ins: 0,
      sequence_gaps: 0,
      rebirths_requested: 0,
      queue_fill: 0,
      store_ok: true,
      broker_ok: true,
      rules_in_force: "version 1 (0123456789ab)",
      rules_trouble: null,
      rules_refused: 0,
    },
    ...changes,
  };
}

/** A series with one temperature and one voltage channel, the same value for min, mean and max. */
export function series(
  t_ms: number[],
  temperature: (number | null)[],
  voltage: (number | null)[] = temperature.map(() => 3.7),
  changes: Partial<PackSeries> = {},
): PackSeries {
  const one = (column: (number | null)[]): SingleSeries => ({ min: column, mean: column, max: column });
  const channels = (label: string, column: (number | null)[]): PackSeries["temperature"] => ({
    labels: [label],
    min: [column],
    mean: [column],
    max: [column],
  });
  return {
    from_ms: t_ms[0] ?? 0,
    to_ms: t_ms.at(-1) ?? 0,
    raw: true,
    t_ms,
    temperature: channels("probe 1", temperature),
    voltage: channels("cell 1", voltage),
    ambient: one(temperature.map(() => 20)),
    humidity: null,
    hydrogen: null,
    carbon_monoxide: null,
    voc: null,
    shock: null,
    provenance: ["measured"],
    ...changes,
  };
}
