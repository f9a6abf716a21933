/** The vehicle's own engine beside the cloud's. */

import type { PackRow } from "./contract";
import { LEVEL_LOOKS, knownLevel } from "./levels";
import { clockWords } from "./zone";

/** "on board: warning since 14:02:11; here: normal". null where both say the same, or the vehicle says nothing. */
export function disagreementWords(row: PackRow): string | null {
  const { level_on_board: there, level_here: here, on_board_since_ms: sinceMs } = row;
  if (there === null || here === null || there === here) return null;
  const since = sinceMs === null ? "" : ` since ${clockWords(sinceMs)}`;
  return `on board: ${LEVEL_LOOKS[knownLevel(there)].word.toLowerCase()}${since}; here: ${LEVEL_LOOKS[knownLevel(here)].word.toLowerCase()}`;
}
