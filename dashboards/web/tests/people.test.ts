import { expect, test } from "vitest";

import { type Recipient, stepsWords, worstFirst } from "../src/pages/people/contract";

function person(name: string, given: Partial<Recipient> = {}, testedMs: number | null = null): Recipient {
  const way = { step: 0, channel: "voice", tested_at_ms: testedMs, failed_at_ms: null, failed_why: null };
  return {
    recipient_id: name,
    name,
    role: "dispatcher",
    unreachable_why: null,
    last_drill: null,
    channels: [way],
    ...given,
  };
}

test("who cannot be reached comes first, then who was not proved for the longest, then other systems", () => {
  const people = [
    person("system", { role: null }),
    person("lately", {}, 2000),
    person("long ago", {}, 1000),
    person("never"),
    person("away", { unreachable_why: "no channel is known" }, 3000),
  ];
  expect(worstFirst(people).map((one) => one.name)).toEqual([
    "away",
    "never",
    "long ago",
    "lately",
    "system",
  ]);
});

test("the ways of a drill read in order", () => {
  expect(stepsWords([["e-mail", "voice"], ["push"]])).toBe("e-mail and voice, then push");
});
