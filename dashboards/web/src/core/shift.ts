/** Handing over a shift: what the service says of it, and what the next one has to know, made of what stands. */

import { fillsBanner, isNotice, isShelved, subjectWords } from "./alarms";
import type { Alert, Incident, PersonHere } from "./contract";
import { LEVEL_LOOKS } from "./levels";
import { plural } from "./words";

/** A shift that is offered, or was. */
export interface Shift {
  readonly id: number;
  readonly giver: PersonHere | null;
  readonly taker: PersonHere | null;
  readonly note: string;
  readonly offered_at_ms: number;
  readonly answered_at_ms: number | null;
  /** null: not answered yet; false: declined, or taken back. */
  readonly accepted: boolean | null;
}

/** One line for each kind that there is something of. */
export function shiftLines(
  incidents: readonly Incident[],
  alerts: Iterable<Alert>,
  accountId: string,
  nowMs: number,
): string[] {
  const own = incidents.filter((each) => each.assigned_to?.account_id === accountId);
  const nobodys = incidents.filter((each) => each.assigned_to === null);
  const all = [...alerts];
  const waiting = all.filter((alert) => fillsBanner(alert, "dispatcher"));
  const shelved = all.filter((alert) => isNotice(alert) && isShelved(alert, nowMs));
  return [
    own.length > 0
      ? `${plural(own.length, "incident")} of yours: ${titles(own)}`
      : "You work on no incident.",
    ...(nobodys.length > 0 ? [`Nobody works on: ${titles(nobodys)}`] : []),
    ...(waiting.length > 0 ? [`NOT ACKNOWLEDGED: ${waiting.map(subjectWords).join(", ")}`] : []),
    ...(shelved.length > 0 ? [`On a shelf: ${shelved.map(subjectWords).join(", ")}`] : []),
  ];
}

function titles(incidents: readonly Incident[]): string {
  return incidents.map((each) => `${each.title} (${LEVEL_LOOKS[each.level].word})`).join(", ");
}
