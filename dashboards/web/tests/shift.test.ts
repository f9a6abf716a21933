import { expect, test } from "vitest";

import type { Incident } from "../src/core/contract";
import { shiftLines } from "../src/core/shift";
import { NOW_MS, alert } from "./made";

const incident = (title: string, account_id: string | null): Incident => ({
  incident_id: title,
  title,
  provenance: "measured",
  state: "open",
  level: "critical",
  assigned_to: account_id === null ? null : { account_id, display_name: account_id, role: "dispatcher" },
  handover_to: null,
  opened_at_ms: NOW_MS,
  alerts: [],
  version: 1,
});

test("a hand-over tells what is one's own, nobody's, not acknowledged and shelved", () => {
  const shelved = alert({
    alert_id: "s",
    pack_id: "P-2",
    level: "warning",
    peak_level: "warning",
    shelved_until_ms: NOW_MS + 1000,
  });
  const incidents = [
    incident("Heat on Truck 1", "ana"),
    incident("Heat on Truck 2", null),
    incident("x", "ben"),
  ];
  expect(shiftLines(incidents, [alert({ pack_id: "P-1" }), shelved], "ana", NOW_MS)).toEqual([
    "1 incident of yours: Heat on Truck 1 (CRITICAL)",
    "Nobody works on: Heat on Truck 2 (CRITICAL)",
    "NOT ACKNOWLEDGED: pack P-1",
    "On a shelf: pack P-2",
  ]);
  expect(shiftLines([], [], "ana", NOW_MS)).toEqual(["You work on no incident."]);
});
