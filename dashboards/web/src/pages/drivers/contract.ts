/** The JSON of /api/trips. Times are milliseconds UTC; null = not known. */

import type { Language } from "../../driver/contract";

export interface TripRow {
  trip_id: string;
  vehicle_id: string;
  driver_name: string;
  language: Language;
  phone: string | null;
  opened_at_ms: number;
  link_until_ms: number;
  situation: string | null;
  custody_signed_by: string | null;
  custody_signed_at_ms: number | null;
  closed_at_ms: number | null;
  draft_texts: boolean;
}

export interface TripOpening {
  vehicle_id: string;
  driver_name: string;
  language: Language;
  phone: string | null;
  dispatch_number: string | null;
  emergency_number: string | null;
}

export interface TripLink {
  trip: TripRow;
  path: string;
  qr_uri: string;
}
