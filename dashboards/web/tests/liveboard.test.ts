import { describe, expect, test } from "vitest";

import { EMPTY_BOARD, applied, simulationWords } from "../src/core/liveboard";
import { NOW_MS, acknowledged, alert, board, packRow } from "./made";

const start = applied(EMPTY_BOARD, [
  { kind: "board", board: board({ packs: [packRow(), packRow({ pack_id: "P-2" })], alerts: [alert()] }) },
]);

describe("applying events", () => {
  test("a whole board replaces everything, and leaves closed alerts out", () => {
    const next = applied(start, [
      {
        kind: "board",
        board: board({ packs: [packRow({ pack_id: "P-9" })], alerts: [alert({ state: "closed" })] }),
      },
    ]);
    expect([...next.packs.keys()]).toEqual(["P-9"]);
    expect(next.alerts.size).toBe(0);
  });

  test("a row replaces its pack's and touches no other", () => {
    const next = applied(start, [{ kind: "pack", pack: packRow({ hottest_c: 99 }) }]);
    expect(next.packs.get("P-1")?.hottest_c).toBe(99);
    expect(next.packs.get("P-2")).toBe(start.packs.get("P-2"));
    expect(start.packs.get("P-1")?.hottest_c).toBe(25);
    expect(next.alerts).toBe(start.alerts);
  });

  test("a new pack appears", () => {
    expect(applied(start, [{ kind: "pack", pack: packRow({ pack_id: "P-3" }) }]).packs.size).toBe(3);
  });

  test("events of one flush are applied in their order", () => {
    const next = applied(start, [
      { kind: "pack", pack: packRow({ hottest_c: 30 }) },
      { kind: "pack", pack: packRow({ hottest_c: 31 }) },
    ]);
    expect(next.packs.get("P-1")?.hottest_c).toBe(31);
  });

  test("an alert that is closed leaves", () => {
    expect(
      applied(start, [{ kind: "alert", alert: alert({ state: "closed", version: 3 }) }]).alerts.size,
    ).toBe(0);
  });

  test("an older version never replaces a newer one", () => {
    const newer = applied(start, [{ kind: "alert", alert: acknowledged({ version: 5 }) }]);
    const late = applied(newer, [{ kind: "alert", alert: alert({ version: 4 }) }]);
    expect(late.alerts.get("a-1")?.state).toBe("acknowledged");
  });

  test("news of incidents, and a whole board after a break, let the page ask for them again", () => {
    expect(start.incidentNews).toBe(1);
    const told = applied(start, [{ kind: "incidents" }, { kind: "incidents" }]);
    expect(told.incidentNews).toBe(3);
    expect(told.alerts).toBe(start.alerts);
    expect(applied(told, [{ kind: "board", board: board() }]).incidentNews).toBe(4);
    expect(applied(told, [{ kind: "pack", pack: packRow() }]).incidentNews).toBe(3);
  });

  test("a ping changes nothing", () => {
    expect(applied(start, [{ kind: "ping", now_ms: NOW_MS }])).toEqual(start);
  });
});

describe("simulation", () => {
  test("a board of measured packs has no mark", () => {
    expect(simulationWords(start)).toBeNull();
  });

  test("one unreal row is enough, even before the service says so", () => {
    const next = applied(start, [{ kind: "pack", pack: packRow({ provenance: "simulated" }) }]);
    expect(simulationWords(next)).toEqual({
      mark: "SIMULATION",
      sentence: "1 simulated of 2 packs. Their alarms are not real.",
    });
  });

  test("recordings alone are marked REPLAYED", () => {
    const next = applied(start, [{ kind: "pack", pack: packRow({ provenance: "replayed" }) }]);
    expect(simulationWords(next)?.mark).toBe("REPLAYED");
  });

  test("the mark stands while the service says so, whatever the rows say", () => {
    const next = applied(start, [{ kind: "board", board: board({ simulation: true }) }]);
    expect(simulationWords(next)?.mark).toBe("SIMULATION");
  });
});
