/** How the sheet writes values. Nothing is guessed: what is not known says so. */

import { degrees } from "../driver/shown";
import type { EmergencySheet, SheetPack } from "./contract";

const CLASSES: Record<string, string> = {
  mid_life: "mid-life",
  end_of_life: "end of life",
  damaged_defective_recalled: "damaged, defective or recalled",
};

const known = (value: number | null, unit: string, digits: number): string =>
  value === null ? "not known" : `${value.toFixed(digits)} ${unit}`;

export function moment(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

export function place(position: EmergencySheet["position"]): string {
  if (position === null) return "not known";
  const north = degrees(position.latitude_deg, ["N", "S"]);
  return `${north}, ${degrees(position.longitude_deg, ["E", "W"])}`;
}

function charge(pack: SheetPack): string {
  const noted = pack.state_of_charge_at_ms === null ? "" : `, noted ${moment(pack.state_of_charge_at_ms)}`;
  return known(pack.state_of_charge_pct, "%", 0) + noted;
}

export function packLines(pack: SheetPack): [label: string, value: string][] {
  const measured = pack.measured_at_ms === null ? "never" : moment(pack.measured_at_ms);
  return [
    ["Chemistry", pack.chemistry === null ? "not known" : pack.chemistry.toUpperCase()],
    ["Class", pack.pack_class === null ? "not known" : (CLASSES[pack.pack_class] ?? pack.pack_class)],
    ["Energy when full", known(pack.energy_kwh, "kWh", 1)],
    ["State of charge", charge(pack)],
    ["Pack voltage", known(pack.pack_voltage_v, "V", 1)],
    ["Lowest cell", known(pack.min_voltage_v, "V", 3)],
    ["Hottest probe", known(pack.hottest_c, "°C", 1)],
    ["Measured", measured],
    ["Place in the trailer", pack.place ?? "not noted"],
    ["Packing", pack.packing === null ? "not known" : `${pack.packing.text} (${pack.packing.citation})`],
  ];
}

/** "9 h 59 min left", "12 d 4 h left", "overdue by 1 h 05 min". */
export function timeLeft(left_s: number): string {
  const minutes = Math.floor(Math.abs(left_s) / 60);
  const days = Math.floor(minutes / 1440);
  const hours = Math.floor((minutes % 1440) / 60);
  const span = days > 0 ? `${days} d ${hours} h` : `${hours} h ${String(minutes % 60).padStart(2, "0")} min`;
  return left_s < 0 ? `overdue by ${span}` : `${span} left`;
}
