/** How a level looks in words, shape and order. Colour comes third: eight in a hundred men cannot rely on it. */

import type { Level } from "./contract";

export type Shape = "tick" | "diamond" | "triangle" | "octagon" | "burst" | "slashed";

export interface LevelLook {
  /** The word on the badge. */
  readonly word: string;
  readonly shape: Shape;
  /** Worst highest. No data ranks above normal: unknown is worse than known and calm. */
  readonly rank: number;
}

export const LEVEL_LOOKS: Readonly<Record<Level, LevelLook>> = {
  runaway: { word: "RUNAWAY", shape: "burst", rank: 5 },
  critical: { word: "CRITICAL", shape: "octagon", rank: 4 },
  warning: { word: "WARNING", shape: "triangle", rank: 3 },
  watch: { word: "WATCH", shape: "diamond", rank: 2 },
  no_data: { word: "NO DATA", shape: "slashed", rank: 1 },
  normal: { word: "NORMAL", shape: "tick", rank: 0 },
};

export const LEVELS_WORST_FIRST = (Object.keys(LEVEL_LOOKS) as Level[]).toSorted(
  (a, b) => LEVEL_LOOKS[b].rank - LEVEL_LOOKS[a].rank,
);

/** A level that this page does not know must not look harmless: it is shown as a warning. */
export function knownLevel(level: string): Level {
  return level in LEVEL_LOOKS ? (level as Level) : "warning";
}

export function rankOf(level: Level): number {
  return LEVEL_LOOKS[knownLevel(level)].rank;
}

export function worse(a: Level, b: Level): Level {
  return rankOf(a) >= rankOf(b) ? a : b;
}

/** From here on a person must acknowledge, and nothing but a person ends it. */
export function demandsPerson(level: Level): boolean {
  return rankOf(level) >= LEVEL_LOOKS.critical.rank;
}
