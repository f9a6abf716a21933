/** Which charts a pack's history fills, and with what. */

import type { PackSeries, SingleSeries } from "./contract";
import { type Column, type Gapped, longestStepMs, withGaps } from "./series";
import { type Units, temperatureIn, temperatureUnit } from "./units";

export interface PanelLine {
  /** Unique on the page: what a toggle remembers. */
  readonly key: string;
  readonly label: string;
  readonly mean: Column;
  readonly min: Column;
  readonly max: Column;
}

export interface Panel {
  readonly name: "temperature" | "voltage" | "pack_voltage" | "air" | "gas" | "shock";
  readonly title: string;
  readonly unit: string;
  readonly digits: number;
  /** The least height of the value axis, in its unit: a sensor's noise must not look like a mountain. */
  readonly flattest: number;
  readonly lines: readonly PanelLine[];
}

export interface Panels {
  /** Seconds UTC, shared by all panels. */
  readonly times_s: readonly number[];
  readonly panels: readonly Panel[];
}

interface Source {
  readonly panel: Panel["name"];
  readonly label: string;
  readonly series: SingleSeries;
  readonly temperature: boolean;
}

/** Above this a voltage column is the pack's, not a cell's or a module's (assumed: modules stay below 100 V). */
const PACK_VOLTAGE_V = 100;

/** All panels that have anything fitted, with holes where nothing was measured, in the viewer's units. */
export function panelsOf(series: PackSeries, units: Units): Panels {
  const sources = sourcesOf(series);
  const columns = sources.flatMap(({ series: s, temperature }) =>
    [s.mean, s.min, s.max].map((column) => (temperature ? column.map((c) => inUnits(units, c)) : column)),
  );
  const gapped = withGaps(series.t_ms, columns, longestStepMs(series));
  const panels = (["temperature", "voltage", "pack_voltage", "air", "gas", "shock"] as const)
    .map((name) => panelOf(name, sources, gapped, units))
    .filter((panel) => panel.lines.length > 0);
  return { times_s: gapped.times_s, panels };
}

function inUnits(units: Units, celsius: number | null): number | null {
  return celsius === null ? null : temperatureIn(units, celsius);
}

function sourcesOf(series: PackSeries): Source[] {
  const sources: Source[] = [];
  series.temperature.labels.forEach((label, i) => {
    sources.push({ panel: "temperature", label, series: channel(series.temperature, i), temperature: true });
  });
  series.voltage.labels.forEach((label, i) => {
    const one = channel(series.voltage, i);
    const high = one.max.some((volts) => volts !== null && volts > PACK_VOLTAGE_V);
    sources.push({ panel: high ? "pack_voltage" : "voltage", label, series: one, temperature: false });
  });
  const single = (
    panel: Panel["name"],
    label: string,
    one: SingleSeries | null,
    temperature = false,
  ): void => {
    if (one) sources.push({ panel, label, series: one, temperature });
  };
  single("air", "ambient", series.ambient, true);
  single("gas", "hydrogen", series.hydrogen);
  single("gas", "carbon monoxide", series.carbon_monoxide);
  single("gas", "VOC", series.voc);
  single("shock", "shock", series.shock);
  return sources;
}

function channel(channels: PackSeries["temperature"], i: number): SingleSeries {
  return { min: channels.min[i] ?? [], mean: channels.mean[i] ?? [], max: channels.max[i] ?? [] };
}

function panelOf(name: Panel["name"], sources: readonly Source[], gapped: Gapped, units: Units): Panel {
  const lines = sources.flatMap((source, i) => {
    const [mean, min, max] = [0, 1, 2].map((part) => gapped.columns[3 * i + part] ?? []);
    if (source.panel !== name || !mean || !min || !max) return [];
    return [{ key: `${name}/${source.label}/${i}`, label: source.label, mean, min, max }];
  });
  const degree = temperatureUnit(units);
  switch (name) {
    case "temperature":
      return { name, title: "Temperatures", unit: degree, digits: 1, flattest: 6, lines };
    case "voltage":
      return { name, title: "Voltages", unit: "V", digits: 3, flattest: 0.1, lines };
    case "pack_voltage":
      return { name, title: "Pack voltage", unit: "V", digits: 1, flattest: 4, lines };
    case "air":
      return { name, title: "Ambient air", unit: degree, digits: 1, flattest: 6, lines };
    case "gas":
      return { name, title: "Gases", unit: "ppm", digits: 1, flattest: 10, lines };
    case "shock":
      return { name, title: "Shock", unit: "g", digits: 2, flattest: 0.5, lines };
  }
}
