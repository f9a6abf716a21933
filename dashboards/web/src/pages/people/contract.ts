/** Whom the service pages, as its API tells it. */

export interface Drill {
  readonly drill_id: string;
  readonly started_by: string;
  readonly started_at_ms: number;
  readonly steps: readonly (readonly string[])[];
  readonly state: "running" | "proved" | "missed" | "put off";
  readonly why: string | null;
}

export interface Recipient {
  readonly recipient_id: string;
  readonly name: string;
  /** null: another system, which is told what happens. */
  readonly role: string | null;
  readonly unreachable_why: string | null;
  readonly last_drill: Drill | null;
  readonly channels: readonly {
    readonly step: number;
    readonly channel: string;
    readonly tested_at_ms: number | null;
    readonly failed_at_ms: number | null;
    readonly failed_why: string | null;
  }[];
}

/** "e-mail, then voice and sms". */
export function stepsWords(steps: readonly (readonly string[])[]): string {
  return steps.map((step) => step.join(" and ")).join(", then ");
}

/** Who cannot be reached first, then who was not proved for the longest; by name among equals. */
export function worstFirst(people: readonly Recipient[]): Recipient[] {
  const proved = (one: Recipient): number => Math.max(0, ...one.channels.map((way) => way.tested_at_ms ?? 0));
  return people.toSorted(
    (one, other) =>
      Number(one.unreachable_why === null) - Number(other.unreachable_why === null) ||
      Number(one.role === null) - Number(other.role === null) ||
      proved(one) - proved(other) ||
      one.name.localeCompare(other.name),
  );
}
