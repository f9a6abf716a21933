import { describe, expect, test } from "vitest";

import type { PackRow } from "../src/core/contract";
import { dataAgeMs, shownLevel } from "../src/core/freshness";
import { NOW_MS, packRow } from "./made";

const at = (sampledAgoMs: number | null, receivedAgoMs: number | null): Partial<PackRow> => ({
  sampled_at_ms: sampledAgoMs === null ? null : NOW_MS - sampledAgoMs,
  received_at_ms: receivedAgoMs === null ? null : NOW_MS - receivedAgoMs,
});

describe("age of data", () => {
  test.each<[string, Partial<PackRow>, number | null]>([
    ["counts from the sample", at(5_000, 4_000), 5_000],
    ["late data is old however lately it came", at(600_000, 1_000), 600_000],
    ["a clock that runs ahead makes nothing younger", at(-120_000, 30_000), 30_000],
    ["is never negative", at(-2_000, -1_000), 0],
    ["nothing heard has no age", at(null, null), null],
    ["a replay counts by its receipt", { ...at(600_000, 1_000), provenance: "replayed" }, 1_000],
  ])("%s", (_, changes, age) => {
    expect(dataAgeMs(packRow(changes), NOW_MS)).toBe(age);
  });
});

describe("level to show", () => {
  test.each<[string, Partial<PackRow>, string]>([
    ["normal with fresh data is normal", at(59_000, 59_000), "normal"],
    ["normal after 60 s without data is NO DATA", at(61_000, 61_000), "no_data"],
    ["watch after 60 s without data is NO DATA", { ...at(61_000, 61_000), level: "watch" }, "no_data"],
    ["normal that was never heard is NO DATA", at(null, null), "no_data"],
    ["warning outlives its data", { ...at(3_600_000, 3_600_000), level: "warning" }, "warning"],
    ["runaway outlives its data", { ...at(3_600_000, 3_600_000), level: "runaway" }, "runaway"],
    ["what the service calls NO DATA stays so", { level: "no_data" }, "no_data"],
  ])("%s", (_, changes, level) => {
    expect(shownLevel(packRow(changes), NOW_MS)).toBe(level);
  });
});
