import { expect, test } from "vitest";

import type { PackSeries } from "../src/core/contract";
import type { Fix, Item } from "../src/pages/review/contract";
import { bytesWords, fixAt, levelAt, probesAt, trackPoints } from "../src/pages/review/moments";

const series = {
  t_ms: [0, 10_000, 20_000],
  temperature: {
    labels: ["a", "b"],
    mean: [
      [20, 21, 22],
      [30, null, 32],
    ],
    min: [],
    max: [],
  },
} as unknown as PackSeries;

const fix = (at_ms: number, latitude_deg: number, longitude_deg: number): Fix => ({
  gateway_id: "g",
  at_ms,
  latitude_deg,
  longitude_deg,
  speed_m_s: null,
});

const said = (at_ms: number, what: string, level: string): Item =>
  ({ at_ms, kind: "level", what, level, pack_id: "p" }) as unknown as Item;

test.each([
  [-1, [null, null]],
  [12_000, [21, null]],
  [25_000, [22, 32]],
  [90_000, [null, null]],
])("at %d ms each probe has what was measured then, and nothing across a gap", (at, values) => {
  expect(probesAt(series, at)).toEqual(values);
});

test("the place at a moment is the newest fix before it", () => {
  const fixes = [fix(0, 40, -105), fix(60_000, 41, -105)];
  expect(fixAt(fixes, 59_999)).toBe(fixes[0]);
  expect(fixAt(fixes, -1)).toBeNull();
});

test("the level at a moment is what the rules said last", () => {
  const items = [said(10, "raise", "warning"), said(20, "worsen", "critical"), said(30, "clear", "critical")];
  expect([5, 15, 25, 35].map((at) => levelAt(items, "p", at))).toEqual([
    "normal",
    "warning",
    "critical",
    "normal",
  ]);
});

test("a track fits its picture, north up, and one fix stands in the middle", () => {
  const points = trackPoints([fix(0, 40, -105), fix(1, 41, -104)], 300, 200);
  const [first, last] = [points[0], points[1]];
  if (first === undefined || last === undefined) throw new Error("two points");
  expect(last.y).toBeLessThan(first.y);
  expect(last.x).toBeGreaterThan(first.x);
  for (const { x, y } of points) expect(x >= 0 && x <= 300 && y >= 0 && y <= 200).toBe(true);
  expect(trackPoints([fix(0, 40, -105)], 300, 200)[0]).toMatchObject({ x: 150, y: 100 });
  expect(trackPoints([], 300, 200)).toEqual([]);
});

test("sizes are told in the unit that fits", () => {
  expect([12, 2048, 5 * 1024 * 1024].map(bytesWords)).toEqual(["12 B", "2.0 KiB", "5.0 MiB"]);
});
