/** The JSON of the emergency papers. Times are milliseconds UTC; null = not known. */

export interface SheetPack {
  pack_id: string;
  concerned: boolean;
  level: string | null;
  chemistry: string | null;
  pack_class: string | null;
  energy_kwh: number | null;
  state_of_charge_pct: number | null;
  state_of_charge_at_ms: number | null;
  min_voltage_v: number | null;
  pack_voltage_v: number | null;
  hottest_c: number | null;
  measured_at_ms: number | null;
  packing: { text: string; citation: string } | null;
  place: string | null;
  unit_id: string | null;
}

export interface EmergencySheet {
  incident_id: string;
  title: string;
  level: string;
  simulation: boolean;
  prepared_at_ms: number;
  vehicle_name: string | null;
  driver_name: string | null;
  driver_phone: string | null;
  emergency_number: string | null;
  position: { latitude_deg: number; longitude_deg: number; fixed_at_ms: number } | null;
  calling: {
    first: string;
    else: string;
    county: string | null;
    number: string | null;
    number_checked_on: string | null;
    citation: string;
  };
  packs: SheetPack[];
  more_packs: number;
  facts: { key: string; text: string; citation: string }[];
  facts_as_of: string;
  /** Who held the facts against the rules, and when; null: nobody did, they are a draft. */
  facts_checked: string | null;
}

export type Answer = "yes" | "no" | "unknown";

export interface DutyReport {
  key: string;
  title: string;
  citation: string;
  how: string;
  runs_from: "occurrence" | "discovery";
  state: "ask" | "proposed" | "not due" | "confirmed" | "rejected" | "reported";
  due_at_ms: number;
  left_s: number;
  by: string | null;
  at_ms: number | null;
  comment: string | null;
}

export interface DutyChecklist {
  incident_id: string;
  now_ms: number;
  simulation: boolean;
  occurred_at_ms: number;
  discovered_at_ms: number;
  conditions: {
    key: string;
    citation: string;
    question: string;
    answer: Answer | null;
    by: string | null;
    at_ms: number | null;
  }[];
  not_asked: { citation: string; why: string }[];
  reports: DutyReport[];
  as_of: string;
  sources: string;
  draft: boolean;
}

export interface DutyStep {
  action: "answer" | "set occurrence" | "set discovery" | "confirm" | "reject" | "report";
  item?: string;
  value?: string;
  comment?: string;
}
