import { describe, expect, test } from "vitest";

import { SHORTEST_MS, panned, rangeOf, refreshMs, scaled, windowOf } from "../src/core/timerange";
import { touched } from "../src/pages/pack/touch";
import { NOW_MS } from "./made";

const HOUR_MS = 3_600_000;
const lastHour = { from_ms: NOW_MS - HOUR_MS, to_ms: NOW_MS };

test("a following range moves with now, a fixed one stands", () => {
  expect(windowOf({ kind: "follow", span_ms: HOUR_MS }, NOW_MS)).toEqual(lastHour);
  expect(windowOf({ kind: "fixed", from_ms: 1, to_ms: 2 }, NOW_MS)).toMatchObject({ from_ms: 1, to_ms: 2 });
});

describe("the range that a person chose", () => {
  test("away from now it stands still", () => {
    const window = { from_ms: NOW_MS - HOUR_MS, to_ms: NOW_MS - HOUR_MS / 2 };
    expect(rangeOf(window, NOW_MS)).toEqual({ kind: "fixed", ...window });
  });
  test("at the right edge it goes on following", () => {
    const window = { from_ms: NOW_MS - HOUR_MS / 2, to_ms: NOW_MS - 1_000 };
    expect(rangeOf(window, NOW_MS)).toMatchObject({ kind: "follow", span_ms: HOUR_MS / 2 - 1_000 });
  });
  test("it is never shorter than what can be drawn", () => {
    const range = rangeOf({ from_ms: NOW_MS - 5_000_000, to_ms: NOW_MS - 4_999_999 }, NOW_MS);
    expect(range.kind === "fixed" && range.to_ms - range.from_ms).toBe(SHORTEST_MS);
  });
});

test("zooming keeps its point in place", () => {
  expect(scaled({ from_ms: 0, to_ms: 100_000 }, 0.5, 0.25)).toEqual({ from_ms: 12_500, to_ms: 62_500 });
});

test("moving later stops at now", () => {
  expect(panned(lastHour, 0.5, NOW_MS)).toEqual(lastHour);
  expect(panned(lastHour, -0.5, NOW_MS).to_ms).toBe(NOW_MS - HOUR_MS / 2);
});

test("a following chart asks no more often than a point could be seen", () => {
  expect(refreshMs(HOUR_MS / 4, 1000)).toBe(2_000);
  expect(refreshMs(24 * HOUR_MS, 1000)).toBe(30_000);
});

describe("fingers", () => {
  const start = { from_ms: NOW_MS - 2 * HOUR_MS, to_ms: NOW_MS - HOUR_MS };
  test("two that part come nearer, about the middle between them", () => {
    const window = touched(start, [0.4, 0.6], [0.3, 0.7], NOW_MS);
    expect(window.to_ms - window.from_ms).toBeCloseTo(HOUR_MS / 2);
    expect((window.from_ms + window.to_ms) / 2).toBeCloseTo((start.from_ms + start.to_ms) / 2);
  });
  test("one drawn to the right brings what was earlier", () => {
    expect(touched(start, [0.2], [0.7], NOW_MS).to_ms).toBeCloseTo(start.to_ms - HOUR_MS / 2);
  });
  test("two in one place do not divide by zero", () => {
    const window = touched(start, [0.5, 0.5], [0.5, 0.5], NOW_MS);
    expect(Number.isFinite(window.from_ms)).toBe(true);
  });
});
