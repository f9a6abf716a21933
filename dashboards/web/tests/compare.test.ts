import { describe, expect, test } from "vitest";

import { alignedTo, heatStep, hottestOf, leadStep, leads, levelRuns, mapColumns } from "../src/core/compare";
import { series } from "./made";

describe("one history beside another", () => {
  test("takes the newest value that is not too old, and leaves the chart's own holes", () => {
    const times = [0, 10, 20, 30, 40];
    expect(alignedTo(times, [5, 12, 13], [1, 2, null], 15)).toEqual([null, 1, null, null, null]);
    expect(alignedTo(times, [0, 20], [1, 2], 15)).toEqual([1, 1, 2, 2, null]);
    expect(alignedTo(times, [0, 20], [1, 2], 15, [false, true])).toEqual([1, null, 2, 2, null]);
    expect(alignedTo(times, [], [], 15)).toEqual([null, null, null, null, null]);
  });

  test("is told by its hottest probe", () => {
    const one = series([0, 1, 2], [20, null, null]);
    const max = [
      [20, null, null],
      [21, 25, null],
    ];
    const two = { ...one, temperature: { ...one.temperature, max } };
    expect(hottestOf(two)).toEqual([21, 25, null]);
  });
});

test("a level's stretch ends with the level, and with the samples", () => {
  const runs = levelRuns(
    [0, 10_000, 20_000, 30_000, 900_000],
    ["normal", "normal", "watch", "watch", "watch"],
  );
  expect(runs).toEqual([
    { from_ms: 0, to_ms: 20_000, level: "normal" },
    { from_ms: 20_000, to_ms: 30_000, level: "watch" },
    { from_ms: 900_000, to_ms: 900_000, level: "watch" },
  ]);
  expect(levelRuns([], [])).toEqual([]);
});

describe("heat", () => {
  test("has steps, with the ceilings among their edges", () => {
    expect([-40, 22, 59.9, 60, 80, 1000].map(heatStep)).toEqual([0, 2, 7, 8, 9, 9]);
    expect([-3, 0, 1.2, 20].map(leadStep)).toEqual([0, 1, 3, 9]);
  });

  test("leads are against the median of those that measured", () => {
    expect(leads([20, 21, null, 30])).toEqual([-1, 0, null, 9]);
    expect(leads([20, 22])).toEqual([-1, 1]);
    expect(leads([null])).toEqual([null]);
  });

  test("the drawing is wider than high", () => {
    expect([0, 1, 4, 16, 96].map(mapColumns)).toEqual([1, 2, 3, 6, 13]);
  });
});
