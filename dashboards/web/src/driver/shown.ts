/** What the page shows: pure, time is an argument. */

import type { Kept, Situation, Stage } from "./contract";

/** Without an evaluation for so long nothing is green: the page is grey and says NO DATA. */
export const NO_DATA_AFTER_MS = 60_000;
/** Without contact for so long the page says of when its state is. Assumed: some missed answers are no news. */
const STALE_AFTER_MS = 15_000;
/** What the vehicle did is known no longer than this without contact; then the page takes it for driving. Assumed. */
const MOTION_KNOWN_MS = 120_000;
/** Who stood still then is taken for parked a while longer: coverage is worst where lorries rest. Assumed. */
const PARKED_KNOWN_MS = 600_000;

const CALM: ReadonlySet<Stage> = new Set(["normal", "watch", "no_data"]);
const ON_THE_ROAD: ReadonlySet<Situation> = new Set(["driving", "tunnel"]);

export interface Shown {
  stage: Stage;
  situation: Situation;
  /** No text, no touch needed (49 CFR 392.80). */
  wordless: boolean;
  /** The state is old; null: it is not. In ms. */
  stale_ms: number | null;
  /** By the service's clock. */
  now_ms: number;
}

export type Said = { situation: Situation; at_ms: number } | null;

/**
 * elapsed_ms: since the state was received; Infinity when that cannot be known. said: what the driver said on this
 * device while the service could not be told.
 */
export function shown(kept: Kept | null, elapsed_ms: number, said: Said, device_ms: number): Shown {
  if (kept === null) {
    const situation = saidLately(said, device_ms) ?? "driving";
    return { stage: "no_data", situation, wordless: ON_THE_ROAD.has(situation), stale_ms: null, now_ms: 0 };
  }
  const state = kept.state;
  const now_ms = state.now_ms + elapsed_ms;
  const age_ms = state.evaluated_at_ms === null ? Infinity : now_ms - state.evaluated_at_ms;
  const situation = situationNow(state.situation, elapsed_ms, said, device_ms);
  return {
    stage: CALM.has(state.stage) && age_ms > NO_DATA_AFTER_MS ? "no_data" : state.stage,
    situation,
    wordless: ON_THE_ROAD.has(situation),
    stale_ms: elapsed_ms > STALE_AFTER_MS ? elapsed_ms : null,
    now_ms,
  };
}

/** How long ago a state was received. A clock that was set back tells nothing: then it is as old as can be. */
export function elapsedSince(received_ms: number, device_ms: number, monotonic_ms: number | null): number {
  const by_clock_ms = device_ms - received_ms;
  if (monotonic_ms !== null) return Math.max(monotonic_ms, by_clock_ms);
  return by_clock_ms < 0 ? Infinity : by_clock_ms;
}

function situationNow(told: Situation, elapsed_ms: number, said: Said, device_ms: number): Situation {
  if (elapsed_ms <= STALE_AFTER_MS) return told;
  const lately = saidLately(said, device_ms);
  if (lately !== null) return lately;
  if (elapsed_ms <= MOTION_KNOWN_MS) return told;
  return !ON_THE_ROAD.has(told) && elapsed_ms <= PARKED_KNOWN_MS ? told : "driving";
}

function saidLately(said: Said, device_ms: number): Situation | null {
  if (said === null) return null;
  const age_ms = device_ms - said.at_ms;
  return age_ms >= 0 && age_ms <= PARKED_KNOWN_MS ? said.situation : null;
}

export type Alarm = "siren" | "beeps" | "chirp" | "none";

/** What sounds: a siren until the driver has acknowledged, then a chirp; any rise brings the siren back. */
export function alarmOf(stage: Stage, unacknowledged: boolean): Alarm {
  switch (stage) {
    case "critical":
    case "runaway":
    case "lost":
      return unacknowledged ? "siren" : "chirp";
    case "held":
      return "chirp";
    case "warning":
      return unacknowledged ? "beeps" : "none";
    default:
      return "none";
  }
}

/** "12 s", "4 min", "3 h 05 min": one short number, as it is read out. */
export function age(ms: number): string {
  if (!Number.isFinite(ms)) return "?";
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 100) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 100) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

/** A sentence with its age. */
export function aged(template: string, ms: number): string {
  return template.replace("{age}", age(ms));
}

/** Degrees with five decimals, which is a metre, and the hemisphere as a letter: minus signs get lost on the phone. */
export function degrees(value: number, letters: readonly [positive: string, negative: string]): string {
  return `${Math.abs(value).toFixed(5)} ${value < 0 ? letters[1] : letters[0]}`;
}

/** A number as people read it: +1 303 555 0100. */
export function phone(number: string): string {
  const american = /^\+1(\d{3})(\d{3})(\d{4})$/.exec(number);
  return american === null ? number : `+1 ${american[1]} ${american[2]} ${american[3]}`;
}
