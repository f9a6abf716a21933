/** The JSON of /api/trip. Times are milliseconds UTC; null = not known. */

export type Language = "en" | "es" | "fr";
export const LANGUAGES: readonly Language[] = ["en", "es", "fr"];

export type Stage = "normal" | "watch" | "warning" | "critical" | "runaway" | "held" | "lost" | "no_data";

export type Situation = "driving" | "tunnel" | "parked" | "sleeping" | "loading" | "dropped";

/** The trip of the page that the vehicle's own gateway serves: dispatch may not hear of what is pressed there yet. */
export const ON_BOARD = "vehicle";

export interface TripState {
  now_ms: number;
  trip_id: string;
  driver_name: string;
  language: Language;
  vehicle_name: string;
  custody_signed: boolean;
  stage: Stage;
  situation: Situation;
  moving: boolean;
  evaluated_at_ms: number | null;
  simulation: boolean;
  unacknowledged: { alert_id: string; version: number; level: string }[];
  position: { latitude_deg: number; longitude_deg: number; fixed_at_ms: number } | null;
  emergency_number: string | null;
  dispatch_number: string | null;
  /** That wait for the driver's answer; the vehicle's own page knows of none. */
  guardianships?: { guardian_id: number; vehicle_name: string; proposed_by: string }[];
}

export interface TripTexts {
  version: number;
  /** By which the browser subscribes to web push; null: none are sent. */
  push_key: string | null;
  texts: Record<Language, Record<Stage, Record<Situation, [sentence: string, action: string]>>>;
}

/** A state as this device got it. */
export interface Kept {
  state: TripState;
  /** By this device's own clock, which may be wrong, or be set. */
  received_ms: number;
}
