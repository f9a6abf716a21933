/** The colours that the charts draw with, as the theme has them now. */

import type { Level } from "../../core/contract";
import { LEVELS_WORST_FIRST } from "../../core/levels";
import { resolvedColours } from "../../shell/colours";

const LINES = [
  "probe-0",
  "probe-1",
  "probe-2",
  "probe-3",
  "probe-4",
  "probe-5",
  "probe-6",
  "probe-7",
] as const;
const LEVELS = LEVELS_WORST_FIRST.flatMap(
  (level) => [`${level}-fill`, `${level}-ink`, `${level}-text`] as const,
);

export interface Palette {
  readonly ink: string;
  readonly muted: string;
  readonly grid: string;
  /** Of the n-th line, counted from 0; they repeat after eight, and then `isDashed`. */
  readonly line: (index: number) => string;
  readonly level: (level: Level) => { readonly fill: string; readonly ink: string; readonly text: string };
}

export function paletteNow(): Palette {
  const colours = resolvedColours(["ink", "muted", "line", ...LEVELS, ...LINES]);
  return {
    ink: colours.ink,
    muted: colours.muted,
    grid: colours.line,
    line: (index) => colours[LINES[index % LINES.length] ?? "probe-0"],
    level: (level) => ({
      fill: colours[`${level}-fill`],
      ink: colours[`${level}-ink`],
      text: colours[`${level}-text`],
    }),
  };
}

/** Whether the n-th line is told from the one of the same colour by dashes. */
export function isDashed(index: number): boolean {
  return Math.floor(index / LINES.length) % 2 === 1;
}
