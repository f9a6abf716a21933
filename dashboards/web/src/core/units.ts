/** Physical values in the viewer's units. The service speaks degC, V, m/s; only what is shown is converted. */

export interface Units {
  readonly temperature: "c" | "f";
  readonly speed: "kmh" | "mph";
}

export const MISSING = "–";

/** Regions that read Fahrenheit: CLDR's measurement data, `temperature` of region (2024). */
const FAHRENHEIT_REGIONS = new Set(["US", "BS", "BZ", "KY", "PR", "PW", "GU", "VI", "AS", "MP", "FM", "MH"]);
/** Regions whose roads are signed in miles: CLDR's `US` and `UK` measurement systems. */
const MILE_REGIONS = new Set([...FAHRENHEIT_REGIONS, "GB", "LR"]);

/** What a browser's language suggests, until the viewer says otherwise. */
export function unitsOfLanguage(language: string): Units {
  let region: string | undefined;
  try {
    region = new Intl.Locale(language).maximize().region;
  } catch {
    region = undefined;
  }
  return {
    temperature: region !== undefined && FAHRENHEIT_REGIONS.has(region) ? "f" : "c",
    speed: region !== undefined && MILE_REGIONS.has(region) ? "mph" : "kmh",
  };
}

export function temperatureUnit(units: Units): string {
  return units.temperature === "f" ? "°F" : "°C";
}

export function temperatureIn(units: Units, celsius: number): number {
  return units.temperature === "f" ? celsius * 1.8 + 32 : celsius;
}

export function temperatureWords(units: Units, celsius: number | null): string {
  if (celsius === null) return MISSING;
  return `${fixed(temperatureIn(units, celsius), 1)} ${temperatureUnit(units)}`;
}

/** A difference of temperatures: scaled, never shifted. */
export function differenceWords(units: Units, celsius: number | null): string {
  if (celsius === null) return MISSING;
  return `${fixed(units.temperature === "f" ? celsius * 1.8 : celsius, 1)} ${temperatureUnit(units)}`;
}

/** How far above or below others, with its sign and without its unit: "+3.2"; nothing where it is not known. */
export function leadWords(units: Units, celsius: number | null): string {
  if (celsius === null) return "";
  const lead = units.temperature === "f" ? celsius * 1.8 : celsius;
  return `${lead >= 0.05 ? "+" : ""}${fixed(lead, 1)}`;
}

/** A rate, always with its sign: "+0.31 °C/min". */
export function rateWords(units: Units, celsiusPerMin: number | null): string {
  if (celsiusPerMin === null) return MISSING;
  const rate = units.temperature === "f" ? celsiusPerMin * 1.8 : celsiusPerMin;
  const digits = fixed(rate, Math.abs(rate) >= 10 ? 1 : 2);
  return `${rate > 0 && !digits.startsWith("0.00") ? "+" : ""}${digits} ${temperatureUnit(units)}/min`;
}

export function voltageWords(volts: number | null): string {
  if (volts === null) return MISSING;
  return `${fixed(volts, Math.abs(volts) >= 100 ? 1 : 3)} V`;
}

export function speedWords(units: Units, metresPerSecond: number | null): string {
  if (metresPerSecond === null) return "speed not known";
  if (units.speed === "mph") return `${fixed(metresPerSecond / 0.44704, 0)} mph`;
  return `${fixed(metresPerSecond * 3.6, 0)} km/h`;
}

/** A length for whoever must keep it or drive it: metres and kilometres, or feet and miles, in round numbers. */
export function lengthWords(units: Units, metres: number): string {
  if (units.speed === "kmh") return metres < 1000 ? `${rounded(metres)} m` : `${fixed(metres / 1000, 1)} km`;
  const miles = metres / 1609.344;
  return miles < 0.25 ? `${rounded(metres / 0.3048)} ft` : `${fixed(miles, 1)} mi`;
}

/** Two digits are known of it at most. */
function rounded(value: number): number {
  return Number(value.toPrecision(2));
}

/** A decimal point for every reader: the reasons that come from the service use one too. No negative zero. */
function fixed(value: number, digits: number): string {
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−");
}
