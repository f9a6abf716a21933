import { expect, test } from "vitest";

import { LEVELS_WORST_FIRST, LEVEL_LOOKS, demandsPerson, knownLevel, worse } from "../src/core/levels";

test("every level has its own word and its own shape, so that colour is never alone", () => {
  const looks = Object.values(LEVEL_LOOKS);
  expect(new Set(looks.map((look) => look.word)).size).toBe(6);
  expect(new Set(looks.map((look) => look.shape)).size).toBe(6);
});

test("levels from worst to calmest", () => {
  expect(LEVELS_WORST_FIRST).toEqual(["runaway", "critical", "warning", "watch", "no_data", "normal"]);
});

test("critical and runaway demand a person, nothing below does", () => {
  expect(LEVELS_WORST_FIRST.filter(demandsPerson)).toEqual(["runaway", "critical"]);
});

test("the worse of two levels", () => {
  expect(worse("warning", "critical")).toBe("critical");
  expect(worse("normal", "no_data")).toBe("no_data");
});

test("an unknown level is shown as a warning, not as calm", () => {
  expect(knownLevel("meltdown")).toBe("warning");
});
