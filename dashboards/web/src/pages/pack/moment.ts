/** What the probes were at a moment that somebody points at. */
export interface ProbeMoment {
  readonly at_ms: number;
  readonly temperatures_c: readonly (number | null)[];
  readonly labels: readonly string[];
}
