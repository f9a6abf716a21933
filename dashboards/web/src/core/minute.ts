/** The critical minute: what the service says of one alert, and whom to call next. */

import type { EmergencySheet } from "../sheet/contract";
import type { Alert, Incident } from "./contract";

export const CALL_TO = ["driver", "911", "emergency number"] as const;
export type CallTo = (typeof CALL_TO)[number];
export const OUTCOMES = ["answered", "no answer", "left message"] as const;
export type Outcome = (typeof OUTCOMES)[number];

export interface Call {
  readonly to: CallTo;
  readonly outcome: Outcome;
  readonly at_ms: number;
  readonly by: string | null;
  readonly note: string | null;
}

export interface DriverSaw {
  readonly seen: "acknowledged" | "shown" | "sent" | "failed" | "not told";
  readonly at_ms: number | null;
  readonly channel: string | null;
  readonly why: string | null;
}

export interface CriticalMinute {
  readonly now_ms: number;
  readonly alert: Alert;
  readonly incident: Incident;
  readonly sheet: EmergencySheet;
  readonly say: {
    readonly stage: string;
    readonly situation: string;
    readonly language: string;
    readonly sentence: string;
    readonly action: string;
    readonly english: readonly [string, string] | null;
    readonly draft: boolean;
  };
  readonly driver_saw: DriverSaw;
  readonly moving: boolean | null;
  readonly still_since_ms: number | null;
  readonly told_place: { readonly text: string; readonly at_ms: number; readonly by: string | null } | null;
  readonly confidence: readonly string[];
  /** The newest first. */
  readonly calls: readonly Call[];
  readonly told: readonly {
    readonly name: string;
    readonly role: string | null;
    readonly channel: string;
    readonly state: string;
    readonly at_ms: number | null;
  }[];
}

export interface NextCall {
  readonly to: CallTo;
  readonly why: string;
}

const NAMES: Readonly<Record<CallTo, string>> = {
  driver: "the driver",
  "911": "911 for the county",
  "emergency number": "the number on the paper",
};

/**
 * Whom to call now: who was not called yet, in the order of `CALL_TO`; then who did not answer, the one that was tried
 * longest ago first. Below critical only the driver is called. null: all have answered.
 */
export function nextCall(calls: readonly Call[], grave: boolean): NextCall | null {
  const asked = grave ? CALL_TO : CALL_TO.slice(0, 1);
  // A person who answered once has been reached, whatever came of later calls.
  const reached = new Set(calls.filter((call) => call.outcome === "answered").map((call) => call.to));
  const latest = new Map(calls.toReversed().map((call) => [call.to, call]));
  const fresh = asked.find((to) => !latest.has(to));
  const last = calls[0];
  if (fresh !== undefined) {
    const missed = last !== undefined && last.outcome !== "answered" ? `${missedWords(last)}: ` : "";
    return { to: fresh, why: `${missed}call ${NAMES[fresh]}` };
  }
  const again = asked
    .filter((to) => !reached.has(to))
    .toSorted((a, b) => (latest.get(a)?.at_ms ?? 0) - (latest.get(b)?.at_ms ?? 0))[0];
  if (again === undefined) return null;
  return { to: again, why: `${missedWords(latest.get(again)!)}: call ${NAMES[again]} again` };
}

function missedWords(call: Call): string {
  const who = NAMES[call.to];
  return call.outcome === "left message"
    ? `${who} got a message, and has not answered`
    : `no answer from ${who}`;
}

/** "shown by push at ...", and never more than is proved. */
export function sawWords(saw: DriverSaw, clock: (ms: number) => string): string {
  const at = saw.at_ms === null ? "" : ` at ${clock(saw.at_ms)}`;
  const by = saw.channel === null ? "" : ` by ${saw.channel}`;
  switch (saw.seen) {
    case "acknowledged":
      return `YES: the driver acknowledged it${at}`;
    case "shown":
      return `SHOWN on the driver's device${by}${at}; not acknowledged`;
    case "sent":
      return `NOT SEEN as far as known: sent${by}${at}, nothing shows that it arrived`;
    case "failed":
      return `NO: it did not arrive${by}${saw.why === null ? "" : ` (${saw.why})`}`;
    case "not told":
      return "NOT TOLD by message: only the driver's page and the cab show it";
  }
}
