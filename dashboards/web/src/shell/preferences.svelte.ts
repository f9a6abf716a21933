/** What the viewer chose, remembered in this browser where it allows that. */

import { type Units, unitsOfLanguage } from "../core/units";

export type Theme = "system" | "dark" | "light";

class Preferences {
  theme: Theme = $state("system");
  units: Units = $state.raw({ temperature: "c", speed: "kmh" });
  /** Grows when the colours on the page change; canvases draw anew. */
  paint = $state(0);

  constructor() {
    const theme = recalled("theme");
    if (theme === "dark" || theme === "light") this.theme = theme;
    const suggested = unitsOfLanguage(navigator.language);
    const temperature = recalled("temperature");
    const speed = recalled("speed");
    this.units = {
      temperature: temperature === "c" || temperature === "f" ? temperature : suggested.temperature,
      speed: speed === "kmh" || speed === "mph" ? speed : suggested.speed,
    };
    matchMedia("(prefers-color-scheme: light)").addEventListener("change", () => this.paint++);
  }

  setTheme(theme: Theme): void {
    this.theme = theme;
    if (theme === "system") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = theme;
    remember("theme", theme);
    this.paint++;
  }

  toggleTemperature(): void {
    this.units = { ...this.units, temperature: this.units.temperature === "c" ? "f" : "c" };
    remember("temperature", this.units.temperature);
  }

  toggleSpeed(): void {
    this.units = { ...this.units, speed: this.units.speed === "kmh" ? "mph" : "kmh" };
    remember("speed", this.units.speed);
  }
}

function recalled(name: string): string | null {
  try {
    return localStorage.getItem(`packwatch.${name}`);
  } catch {
    return null;
  }
}

function remember(name: string, value: string): void {
  try {
    localStorage.setItem(`packwatch.${name}`, value);
  } catch {
    // Storage is forbidden in this browser: the choice holds until the page is left.
  }
}

export const preferences = new Preferences();
