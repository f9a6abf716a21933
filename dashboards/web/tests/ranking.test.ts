import { describe, expect, test } from "vitest";

import type { PackRow } from "../src/core/contract";
import { HOLD_MS, displaced, heldOrder, isHeld, worstFirst } from "../src/core/ranking";
import { NOW_MS, packRow } from "./made";

const OLD = { sampled_at_ms: NOW_MS - 300_000, received_at_ms: NOW_MS - 300_000 };

describe("worst first", () => {
  test.each<[string, Partial<PackRow>[], string[]]>([
    [
      "levels rank before temperatures",
      [
        { pack_id: "calm", hottest_c: 59 },
        { pack_id: "warning", level: "warning", hottest_c: 61 },
        { pack_id: "runaway", level: "runaway", hottest_c: 40 },
        { pack_id: "critical", level: "critical", hottest_c: 90 },
        { pack_id: "watch", level: "watch", hottest_c: 30 },
      ],
      ["runaway", "critical", "warning", "watch", "calm"],
    ],
    [
      "of one level the hottest is first",
      [
        { pack_id: "a", hottest_c: 20 },
        { pack_id: "b", hottest_c: 35 },
      ],
      ["b", "a"],
    ],
    [
      "of equally hot ones the id decides",
      [{ pack_id: "b" }, { pack_id: "a" }, { pack_id: "c" }],
      ["a", "b", "c"],
    ],
    [
      "without a temperature comes after those that have one",
      [
        { pack_id: "a", hottest_c: null },
        { pack_id: "b", hottest_c: -20 },
      ],
      ["b", "a"],
    ],
    [
      "no data stands above normal, below watch",
      [{ pack_id: "calm" }, { pack_id: "mute", ...OLD }, { pack_id: "watch", level: "watch" }],
      ["watch", "mute", "calm"],
    ],
    [
      "a critical pack that fell silent stays on top",
      [
        { pack_id: "calm" },
        { pack_id: "burning", level: "critical", ...OLD },
        { pack_id: "warm", level: "warning" },
      ],
      ["burning", "warm", "calm"],
    ],
    [
      "a level that this page does not know ranks as a warning",
      [{ pack_id: "calm" }, { pack_id: "new", level: "meltdown" as PackRow["level"] }],
      ["new", "calm"],
    ],
  ])("%s", (_, rows, order) => {
    expect(worstFirst(rows.map(packRow), NOW_MS).map((row) => row.pack_id)).toEqual(order);
  });
});

describe("held order", () => {
  test.each([
    ["stays as it was shown", ["a", "b", "c"], ["c", "a", "b"], ["a", "b", "c"]],
    ["puts what is new at the end", ["a", "b"], ["new", "b", "a"], ["a", "b", "new"]],
    ["drops what is gone", ["a", "b", "c"], ["c", "a"], ["a", "c"]],
    ["begins with what is wanted", [], ["b", "a"], ["b", "a"]],
  ])("%s", (_, shown, wanted, order) => {
    expect(heldOrder(shown, wanted)).toEqual(order);
  });

  test("counts the rows that will move", () => {
    expect(displaced(["a", "b", "c"], ["b", "a", "c"])).toBe(2);
    expect(displaced(["a", "b"], ["a", "b"])).toBe(0);
  });

  test.each([
    ["holds while the pointer moves inside", true, 1_000, true],
    ["ends when the pointer leaves", false, 1_000, false],
    ["ends by itself when a mouse is left lying on the list", true, HOLD_MS, false],
  ])("%s", (_, inside, quietMs, held) => {
    expect(isHeld(inside, NOW_MS - quietMs, NOW_MS)).toBe(held);
  });
});
