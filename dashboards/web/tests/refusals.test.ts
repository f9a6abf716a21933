import { expect, test } from "vitest";

import wire from "../../../docs/wire.md?raw";
import { refusalWords } from "../src/core/refusals";

test("every reason that docs/wire.md lists has plain words, and so have samples that were let go", () => {
  const table = wire.slice(wire.indexOf("| reason |")).split("\n\n")[0] ?? "";
  const cells = table.split("\n").map((row) => row.split("|")[1] ?? "");
  const reasons = cells.flatMap((cell) => [...cell.matchAll(/`([a-z_]+)`/g)].map((found) => found[1] ?? ""));
  expect(reasons.length).toBeGreaterThan(20);
  const silent = [...reasons, "samples_dropped"].filter(
    (reason) => refusalWords(reason) === reason.replaceAll("_", " "),
  );
  expect(silent).toEqual([]);
});

test("a reason without words is shown as it came", () => {
  expect(refusalWords("some_new_reason")).toBe("some new reason");
});
