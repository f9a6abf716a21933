/**
 * The JSON that the service speaks, field by field. Times are integer milliseconds UTC; `null` = not measured,
 * not known, or not fitted. The same names stand in the service's own rows.
 */

export type Level = "normal" | "watch" | "warning" | "critical" | "runaway" | "no_data";

export type Provenance = "measured" | "simulated" | "replayed" | "synthetic";

export type PackClass = "mid_life" | "end_of_life" | "damaged_defective_recalled";

export type AlertState = "raised" | "acknowledged" | "cleared" | "closed";

/** One pack as its newest sample and its open alerts show it. */
export interface PackRow {
  /** `unit:ID` where a unit reports that watches no registered pack. */
  readonly pack_id: string;
  readonly chemistry: string | null;
  readonly pack_class: string | null;
  readonly vehicle_id: string | null;
  readonly vehicle_name: string | null;
  readonly gateway_id: string | null;
  readonly unit_id: string;
  readonly provenance: string | null;
  readonly level: Level;
  readonly reasons: readonly string[];
  readonly hottest_c: number | null;
  /** The column of the hottest temperature, counted from 1. */
  readonly hottest_probe: number | null;
  readonly coldest_c: number | null;
  readonly spread_c: number | null;
  readonly rise_c_per_min: number | null;
  readonly ambient_c: number | null;
  readonly min_voltage_v: number | null;
  readonly pack_voltage_v: number | null;
  readonly sampled_at_ms: number | null;
  readonly received_at_ms: number | null;
  readonly silent: boolean;
  readonly silent_since_ms: number | null;
  readonly temperatures_c: readonly (number | null)[];
  readonly suspect: boolean;
  /** The hottest temperature of each 10 s or so, oldest first. */
  readonly spark: readonly (number | null)[];
  readonly open_alert_id: string | null;
  readonly unregistered: boolean;
  /** By the vehicle's own engine; null where it says nothing of an alert that stands. */
  readonly level_on_board: Level | null;
  readonly on_board_since_ms: number | null;
  /** By the cloud's engine, beside it. */
  readonly level_here: Level | null;
  /** The carrier's. */
  readonly fleet_id: string | null;
  /** Earliest and latest s from the newest sample to the next level; null: unknown. */
  readonly forecast_s: readonly [number, number] | null;
}

/** A road tunnel that the operator's file names. */
export interface Tunnel {
  readonly name: string;
  readonly state: "inside" | "ahead";
  /** To its portal; 0 inside. */
  readonly distance_m: number;
}

export interface Vehicle {
  readonly vehicle_id: string;
  readonly name: string;
  readonly gateway_id: string;
  readonly latitude_deg: number | null;
  readonly longitude_deg: number | null;
  readonly speed_m_s: number | null;
  /** Clockwise from true north. */
  readonly heading_deg: number | null;
  readonly fixed_at_ms: number | null;
  readonly online: boolean;
  /** The road tunnel that it is in, or comes to; null: none, or nobody knows. */
  readonly tunnel: Tunnel | null;
}

/** One pack, one cause, one life. */
export interface Alert {
  readonly alert_id: string;
  readonly kind: string;
  readonly cause: string;
  readonly pack_id: string | null;
  readonly unit_id: string | null;
  readonly gateway_id: string | null;
  readonly vehicle_name: string | null;
  readonly level: Level;
  readonly peak_level: Level;
  readonly state: AlertState;
  readonly provenance: string;
  readonly reasons: readonly string[];
  readonly sampled_at_ms: number | null;
  readonly raised_at_ms: number;
  readonly cleared_at_ms: number | null;
  readonly acknowledged_by: string | null;
  readonly acknowledged_at_ms: number | null;
  readonly acknowledgement_comment: string | null;
  readonly closed_by: string | null;
  readonly closed_at_ms: number | null;
  readonly close_reason: string | null;
  readonly version: number;
  /** Who has seen it since it last rose; `acknowledged` is the dispatcher's word. */
  readonly acknowledged_roles: readonly string[];
  readonly shelved_by: string | null;
  /** Nobody need hear of it before then. */
  readonly shelved_until_ms: number | null;
  readonly shelf_reason: string | null;
  /** Who released the load, where it was critical. */
  readonly releasing_authority: string | null;
}

export interface PersonHere {
  readonly account_id: string;
  readonly display_name: string;
  readonly role: string;
}

/** Alerts with one cause, and who works on them. */
export interface Incident {
  readonly incident_id: string;
  readonly title: string;
  readonly provenance: string;
  readonly state: "open" | "closed";
  readonly level: Level;
  readonly assigned_to: PersonHere | null;
  readonly handover_to: PersonHere | null;
  readonly opened_at_ms: number;
  readonly alerts: readonly Alert[];
  readonly version: number;
}

export interface IncidentEvent {
  readonly at_ms: number;
  readonly action: string;
  readonly level: Level;
  readonly actor: string | null;
  readonly actor_role: string | null;
  readonly comment: string | null;
}

/** A pack whose critical alert was closed: a fire may come back for weeks. */
export interface ReignitionWatch {
  readonly alert_id: string;
  readonly pack_id: string | null;
  readonly unit_id: string | null;
  readonly provenance: string;
  readonly level: Level;
  readonly until_ms: number;
  readonly releasing_authority: string;
}

/** What ingest took, refused and lost since it started. */
export interface Intake {
  readonly messages: number;
  readonly batches: number;
  readonly values: number;
  readonly stored_rows: number;
  readonly duplicate_batches: number;
  readonly refused_by_reason: Readonly<Record<string, number>>;
  readonly dropped: number;
  readonly broker_oversize: number;
  /** Messages and subscriptions outside of what their account may use. */
  readonly broker_denied: number;
  /** Connections whose name and password did not match. */
  readonly broker_refused_sign_ins: number;
  readonly sequence_gaps: number;
  readonly rebirths_requested: number;
  /** 0 to 1, the fullest of ingest's queues. */
  readonly queue_fill: number;
  readonly store_ok: boolean;
  readonly broker_ok: boolean;
  /** Version and hash of the alert rules; null: no engine has told them. */
  readonly rules_in_force: string | null;
  /** Why the rules file is not in force. */
  readonly rules_trouble: string | null;
  /** Rules files that could not be used. */
  readonly rules_refused: number;
}

export interface Board {
  readonly now_ms: number;
  /** Some pack shown is not measured. */
  readonly simulation: boolean;
  readonly packs: readonly PackRow[];
  readonly vehicles: readonly Vehicle[];
  readonly alerts: readonly Alert[];
  readonly intake: Intake;
}

/** One message of `/api/stream`. */
export type StreamEvent =
  | { readonly kind: "board"; readonly board: Board }
  | { readonly kind: "pack"; readonly pack: PackRow }
  | { readonly kind: "alert"; readonly alert: Alert }
  | { readonly kind: "vehicle"; readonly vehicle: Vehicle }
  | { readonly kind: "incidents" }
  | { readonly kind: "intake"; readonly intake: Intake }
  | { readonly kind: "ping"; readonly now_ms: number };

export interface Person {
  readonly name: string;
  readonly display_name: string;
  readonly role: string;
  readonly account_id: string;
}

/** A pack as the registry knows it. */
export interface PackRecord {
  readonly pack_id: string;
  readonly chemistry: string;
  readonly pack_class: string;
  readonly class_assessed_by: string | null;
  readonly class_criteria: string | null;
  readonly class_outcome: string | null;
  readonly capacity_ah: number | null;
  readonly series_count: number | null;
  readonly max_operating_temperature_c: number | null;
  /** As somebody noted it at enrolment. */
  readonly state_of_charge_pct: number | null;
  readonly passport_id: string | null;
  readonly passport_status: string | null;
  readonly description: string;
}

export interface PackDetail {
  /** null for a unit that watches no registered pack. */
  readonly pack: PackRecord | null;
  /** null when no unit watches it now. */
  readonly row: PackRow | null;
  readonly alerts: readonly Alert[];
}

/** Buckets of one kind of channel, channel-major: `mean[channel][bucket]`. */
export interface ChannelSeries {
  readonly labels: readonly string[];
  readonly min: readonly (readonly (number | null)[])[];
  readonly mean: readonly (readonly (number | null)[])[];
  readonly max: readonly (readonly (number | null)[])[];
}

/** Buckets of a sensor that a unit has one of. */
export interface SingleSeries {
  readonly min: readonly (number | null)[];
  readonly mean: readonly (number | null)[];
  readonly max: readonly (number | null)[];
}

/** One pack's history, at most as many buckets as were asked for. */
export interface PackSeries {
  readonly from_ms: number;
  readonly to_ms: number;
  /** Nothing was reduced: every bucket is one sample. */
  readonly raw: boolean;
  readonly t_ms: readonly number[];
  readonly temperature: ChannelSeries;
  readonly voltage: ChannelSeries;
  readonly ambient: SingleSeries | null;
  readonly humidity: SingleSeries | null;
  readonly hydrogen: SingleSeries | null;
  readonly carbon_monoxide: SingleSeries | null;
  readonly voc: SingleSeries | null;
  readonly shock: SingleSeries | null;
  readonly provenance: readonly string[];
}

/** What the detector expects of each probe, by the rules in force, and how far it stands off. */
export interface PackJudgement {
  readonly unit_id: string | null;
  readonly rules_version: number | null;
  readonly t_ms: readonly number[];
  /** Of the evidence alone; ceilings are apart. */
  readonly level: readonly string[];
  /** degC, a column for each probe. */
  readonly expected: readonly (readonly (number | null)[])[];
  readonly above_others: readonly (readonly (number | null)[])[];
  readonly above_others_sigmas: readonly (readonly (number | null)[])[];
}

/** A trip of a vehicle that carried the pack. */
export interface TripOfPack {
  readonly trip_id: string;
  readonly vehicle_id: string;
  readonly driver_name: string;
  readonly opened_at_ms: number;
  readonly closed_at_ms: number | null;
}

/** A pack that ever was hotter than asked for. */
export interface HotPack {
  readonly pack_id: string;
  readonly hottest_c: number;
  /** When its hottest day begins, UTC. */
  readonly day_ms: number;
  readonly days: number;
  readonly unit_id: string;
}

/** One step in an alert's life. */
export interface AlertEvent {
  readonly alert_id: string;
  readonly at_ms: number;
  readonly sampled_at_ms: number | null;
  readonly action: string;
  readonly from_state: string | null;
  readonly to_state: string;
  readonly level: Level;
  readonly actor: string | null;
  readonly comment: string | null;
  readonly reasons: readonly string[];
}

export interface QuarantineEntry {
  readonly id: number;
  readonly received_at_ms: number;
  readonly reason: string;
  readonly detail: string;
  readonly topic: string;
  readonly fleet_id: string | null;
  readonly gateway_id: string | null;
  readonly unit_id: string | null;
  readonly payload_size: number;
  readonly payload_preview_hex: string;
}

export interface QuarantinePage {
  readonly entries: readonly QuarantineEntry[];
  readonly counts: Readonly<Record<string, number>>;
  /** All that there ever were; the service keeps the newest. */
  readonly total: number;
}
