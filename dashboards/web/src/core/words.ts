/** Ages, classes, provenance and places in words. */

import type { Vehicle } from "./contract";
import { type Units, speedWords } from "./units";

/** "12 s", "2 min 3 s", "3 h 12 min", "2 d 4 h". A negative age is a clock's error of a moment: "0 s". */
export function ageWords(ageMs: number): string {
  const seconds = Math.max(0, Math.floor(ageMs / 1000));
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  const days = Math.floor(hours / 24);
  if (minutes === 0) return `${seconds} s`;
  if (hours === 0) return `${minutes} min ${seconds % 60} s`;
  if (days === 0) return `${hours} h ${minutes % 60} min`;
  return `${days} d ${hours % 24} h`;
}

const CLASS_WORDS: Readonly<Record<string, string>> = {
  mid_life: "mid-life",
  end_of_life: "end of life",
  damaged_defective_recalled: "damaged, defective or recalled",
};

export function classWords(packClass: string | null): string {
  if (packClass === null) return "class not known";
  return CLASS_WORDS[packClass] ?? packClass.replaceAll("_", " ");
}

export function isDamaged(packClass: string | null): boolean {
  return packClass === "damaged_defective_recalled";
}

export function chemistryWords(chemistry: string | null): string {
  return chemistry === null || chemistry === "unknown" ? "chemistry not known" : chemistry.toUpperCase();
}

const POINTS = ["N", "NE", "E", "SE", "S", "SW", "W", "NW"] as const;

/** The eighth of the compass nearest to a heading. */
export function compassPoint(headingDeg: number): string {
  const eighth = Math.round((((headingDeg % 360) + 360) % 360) / 45) % 8;
  return POINTS[eighth] ?? "N";
}

/** "41.8781° N 87.6298° W", to about 11 m; null when there was no fix. */
export function placeWords(vehicle: Vehicle): string | null {
  if (vehicle.latitude_deg === null || vehicle.longitude_deg === null) return null;
  const latitude = `${Math.abs(vehicle.latitude_deg).toFixed(4)}° ${vehicle.latitude_deg < 0 ? "S" : "N"}`;
  const longitude = `${Math.abs(vehicle.longitude_deg).toFixed(4)}° ${vehicle.longitude_deg < 0 ? "W" : "E"}`;
  return `${latitude} ${longitude}`;
}

/** A count with thousands set apart by a narrow space, the same for every reader. */
export function countWords(count: number): string {
  return Math.round(count)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${countWords(count)} ${count === 1 ? one : many}`;
}

/** "58 mph E", or whatever of it is known. */
export function motionWords(vehicle: Vehicle, units: Units): string {
  const speed = speedWords(units, vehicle.speed_m_s);
  return vehicle.heading_deg === null ? speed : `${speed} ${compassPoint(vehicle.heading_deg)}`;
}
