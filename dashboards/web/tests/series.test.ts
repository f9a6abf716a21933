import { describe, expect, test } from "vitest";

import { panelsOf } from "../src/core/panels";
import { longestStepMs, measuredSpan, newest, withGaps } from "../src/core/series";
import { sparkPaths } from "../src/core/sparkline";
import { series } from "./made";

const C = { temperature: "c", speed: "kmh" } as const;
const F = { temperature: "f", speed: "mph" } as const;

describe("gaps", () => {
  test("a long step gets a row of nulls in its middle", () => {
    const gapped = withGaps([0, 10_000, 60_000, 70_000], [[1, 2, 3, 4]], 30_000);
    expect(gapped.times_s).toEqual([0, 10, 35, 60, 70]);
    expect(gapped.columns).toEqual([[1, 2, null, 3, 4]]);
  });

  test("even steps get none, and missing values stay missing", () => {
    const gapped = withGaps([0, 10_000, 20_000], [[1, null, 3]], 30_000);
    expect(gapped.columns).toEqual([[1, null, 3]]);
  });

  test("a column shorter than the times is filled with nulls, never shifted", () => {
    expect(withGaps([0, 10_000], [[1]], 30_000).columns).toEqual([[1, null]]);
  });

  test.each([
    ["three report intervals at least", [0, 1_000, 2_000], 30_000],
    ["three usual steps where those are longer", [0, 60_000, 120_000, 600_000], 180_000],
    ["three report intervals for a lone sample", [0], 30_000],
    ["three report intervals for nothing", [], 30_000],
  ])("%s count as continuous", (_, t_ms, longest) => {
    expect(longestStepMs({ t_ms })).toBe(longest);
  });

  test("a unit in doubt, reporting every second among tens, makes no false gaps", () => {
    const t_ms = [0, 10_000, 20_000, ...Array.from({ length: 20 }, (_, i) => 21_000 + i * 1_000), 50_000];
    const { times_s } = withGaps(t_ms, [t_ms.map(() => 1)], longestStepMs({ t_ms }));
    expect(times_s.length).toBe(t_ms.length);
  });
});

test("the measured span ignores buckets without a value", () => {
  const found = measuredSpan(series([0, 10, 20, 30], [null, 5, 6, null], [null, null, null, null]));
  expect(found).toEqual({ from_ms: 10, to_ms: 20 });
  expect(measuredSpan(series([0], [null], [null]))).toBeNull();
});

test("the newest value is the last that was measured", () => {
  expect(newest([1, 2, null])).toBe(1);
  expect(newest([null])).toBe(-1);
});

describe("panels", () => {
  test("only what is fitted gets a chart, and gaps reach every line", () => {
    const { times_s, panels } = panelsOf(series([0, 10_000, 100_000], [20, 21, 22]), C);
    expect(panels.map((panel) => panel.name)).toEqual(["temperature", "voltage", "air"]);
    expect(times_s).toEqual([0, 10, 55, 100]);
    expect(panels[0]?.lines[0]?.mean).toEqual([20, 21, null, 22]);
    expect(panels[1]?.lines[0]?.mean).toEqual([3.7, 3.7, null, 3.7]);
  });

  test("temperatures are shown in the viewer's unit, voltages as they are", () => {
    const { panels } = panelsOf(series([0], [100], [3.7]), F);
    expect(panels.map((panel) => [panel.unit, panel.lines[0]?.max])).toEqual([
      ["°F", [212]],
      ["V", [3.7]],
      ["°F", [68]],
    ]);
  });

  test("the pack's own voltage has a chart apart from its cells", () => {
    const names = panelsOf(series([0], [20], [355]), C).panels.map((panel) => panel.name);
    expect(names).toContain("pack_voltage");
    expect(names).not.toContain("voltage");
  });
});

describe("sparkline", () => {
  test("a hole splits the line", () => {
    expect(sparkPaths([20, 21, null, 22], 120, 30).lines.length).toBe(2);
  });
  test("noise stays flat: less than 4 degC does not fill the height", () => {
    const [line] = sparkPaths([20, 20.4], 120, 30).lines;
    const [low, high] = line!.split(" ").map((point) => Number(point.split(",")[1]));
    expect(Math.abs(low! - high!)).toBeLessThan(4);
  });
  test("nothing measured draws nothing", () => {
    expect(sparkPaths([null, null], 120, 30).lines).toEqual([]);
  });
});
