/** The alert engine's sentences, for reading. They come in ASCII and degC. */

import type { PackRow } from "./contract";
import { type Units, temperatureIn } from "./units";

const NUMBER = String.raw`(-?\d+(?:\.\d+)?)`;

/** Phrases whose number is surely a temperature, not a difference of two: those alone may be shifted to degF. */
const ABSOLUTE = [
  new RegExp(`(?<= is )${NUMBER} degC(?=, (?:above|at) | and rises )`, "g"),
  new RegExp(`(?<= degC, (?:above|at) )${NUMBER} degC`, "g"),
  new RegExp(`(?<=; it had cooled to )${NUMBER} degC`, "g"),
  new RegExp(`(?<= stayed below )${NUMBER} degC`, "g"),
  new RegExp(`(?<= in use, )${NUMBER} degC`, "g"),
  new RegExp(`(?<= within \\d+ s, to )${NUMBER} degC`, "g"),
  new RegExp(`(?<=^the whole pack is )${NUMBER} degC`, "g"),
];
/** Phrases whose number is surely a difference: it is stretched, never shifted. */
const DIFFERENCE = [
  new RegExp(`(?<= (?:rose|is|has stood) )${NUMBER} degC(?= above its neighbours)`, "g"),
  new RegExp(`(?<=; )${NUMBER} degC(?= is usual)`, "g"),
  new RegExp(`(?<= degC, )${NUMBER} degC(?= more than on average)`, "g"),
];
const RATE = new RegExp(`${NUMBER} degC(?=/(?:s|min|h)\\b)`, "g");

/**
 * A sentence with the sign for degrees, and in the viewer's unit where its phrase is known. What is not known stays in
 * degC with its unit beside it: true for every reader, if not at home with each.
 */
export function reasonText(reason: string, units: Units): string {
  let text = reason;
  if (units.temperature === "f") {
    // A threshold of 1 degC/s must not become 2 degF/s: a rate keeps a digit after the point.
    text = text.replace(RATE, (_, n: string) => `${inStep(Number(n) * 1.8, n, 1)} degF`);
    // All phrases are found in the sentence as it came: one that was converted is not context for the next.
    const sentence = text;
    const found = [
      ...inFahrenheit(sentence, ABSOLUTE, (c) => temperatureIn(units, c)),
      ...inFahrenheit(sentence, DIFFERENCE, (c) => c * 1.8),
    ].toSorted((a, b) => b.index - a.index);
    for (const { index, length, there } of found) {
      text = text.slice(0, index) + there + text.slice(index + length);
    }
  }
  return text.replace(/\bdeg([CF])\b/g, "°$1");
}

function inFahrenheit(sentence: string, phrases: readonly RegExp[], of: (celsius: number) => number) {
  return phrases.flatMap((phrase) =>
    [...sentence.matchAll(phrase)].map(({ index, 0: whole, 1: n }) => ({
      index,
      length: whole.length,
      there: `${inStep(of(Number(n)), n ?? "")} degF`,
    })),
  );
}

export function reasonsText(reasons: readonly string[], units: Units): string {
  return reasons.map((reason) => reasonText(reason, units)).join("; ");
}

/** As many digits as the sentence had, or the fewest that are wanted. */
function inStep(value: number, original: string, fewest = 0): string {
  return value.toFixed(Math.max(fewest, original.split(".")[1]?.length ?? 0));
}

/** Why the row has the level it shows: the first reason, and the others behind it. Never a claim that nothing is wrong. */
export function rowReason(row: PackRow, fresh: boolean, units: Units): { first: string; more: string } {
  const [first, ...others] = row.reasons;
  if (first !== undefined) return { first: reasonText(first, units), more: reasonsText(others, units) };
  if (row.sampled_at_ms === null && row.received_at_ms === null) {
    return { first: "nothing heard from this pack yet", more: "" };
  }
  return {
    first: fresh ? "no alert rule met" : "no fresh data: what this pack does now is not known",
    more: "",
  };
}
