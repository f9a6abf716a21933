/** Components drawn to HTML without a browser: what the words on the screen are. */

import { type Component } from "svelte";
import { render } from "svelte/server";
import { beforeAll, beforeEach, describe, expect, test, vi } from "vitest";

import type { Alert, PackRow } from "../src/core/contract";
import { EMPTY_BOARD, applied } from "../src/core/liveboard";
import { NOW_MS, acknowledged, alert, board, packRow } from "./made";

let live: (typeof import("../src/shell/live.svelte"))["live"];
let session: (typeof import("../src/shell/session.svelte"))["session"];
let clock: (typeof import("../src/shell/clock.svelte"))["clock"];
const pages: Record<string, Component<Record<string, unknown>>> = {};

beforeAll(async () => {
  // Svelte's server build has no browser around it: the few things that the shell asks for at its start.
  vi.stubGlobal("matchMedia", () => ({ addEventListener: () => undefined }));
  vi.stubGlobal("navigator", { language: "de-DE" });
  vi.stubGlobal("localStorage", { getItem: () => null });
  vi.stubGlobal("location", { pathname: "/", search: "" });
  ({ live } = await import("../src/shell/live.svelte"));
  ({ clock } = await import("../src/shell/clock.svelte"));
  ({ session } = await import("../src/shell/session.svelte"));
  const found = {
    PackRow: await import("../src/pages/board/PackRow.svelte"),
    AlarmBanner: await import("../src/alarms/AlarmBanner.svelte"),
    AcknowledgedStrip: await import("../src/alarms/AcknowledgedStrip.svelte"),
    SimulationMark: await import("../src/ui/SimulationMark.svelte"),
    Notices: await import("../src/pages/board/Notices.svelte"),
    ConnectionBar: await import("../src/ui/ConnectionBar.svelte"),
  };
  for (const [name, module] of Object.entries(found)) {
    pages[name] = module.default as unknown as Component<Record<string, unknown>>;
  }
});

beforeEach(() => {
  clock.nowMs = NOW_MS;
  live.board = EMPTY_BOARD;
  live.connection = "live";
  signIn("administrator");
});

function signIn(role: string): void {
  session.person = { name: "ana", display_name: "Ana", role, account_id: "a-1" };
}

function html(name: string, props: Record<string, unknown> = {}): string {
  return render(pages[name]!, { props }).body;
}

/** What a reader sees: no tags, no comments, single spaces. */
function text(name: string, props: Record<string, unknown> = {}): string {
  return html(name, props)
    .replaceAll(/<!--.*?-->/gs, "")
    .replaceAll(/<[^>]*>/g, " ")
    .replaceAll("&nbsp;", " ")
    .replaceAll(/\s+/g, " ")
    .trim();
}

function show(...alerts: Alert[]): void {
  live.board = applied(EMPTY_BOARD, [{ kind: "board", board: board({ alerts }) }]);
}

describe("a pack's row", () => {
  const drawn = (changes: Partial<PackRow>): string =>
    text("PackRow", {
      row: packRow(changes),
      vehicle: undefined,
      chosen: false,
      place: 1,
      of: 1,
      onchoose: () => undefined,
    });

  test("says level, numbers and age in words", () => {
    expect(
      drawn({ level: "critical", reasons: ["probe 7 is 83.4 degC, above 80 degC"], hottest_c: 83.4 }),
    ).toMatch(
      /CRITICAL.*P-1.*probe 7 is 83\.4 °C, above 80 °C.*83\.4 °C.*over the others 59\.4 °C.*forecast unknown.*5 s old/,
    );
  });
  test("marks a damaged pack, a replayed and a silent one", () => {
    expect(drawn({ pack_class: "damaged_defective_recalled" })).toContain("DDR");
    expect(drawn({ provenance: "replayed" })).toContain("REPLAYED");
    expect(drawn({ silent: true, silent_since_ms: NOW_MS - 90_000 })).toMatch(/SILENT since \d\d:\d\d:\d\d/);
  });
  test("without fresh data says NO DATA, and nothing calm", () => {
    const stale = drawn({ sampled_at_ms: NOW_MS - 90_000, received_at_ms: NOW_MS - 90_000 });
    expect(stale).toContain("NO DATA");
    expect(stale).not.toContain("NORMAL");
  });
  test("of a critical pack that fell silent says both", () => {
    const stale = drawn({
      level: "critical",
      sampled_at_ms: NOW_MS - 90_000,
      received_at_ms: NOW_MS - 90_000,
    });
    expect(stale).toMatch(/CRITICAL NO DATA/);
  });
});

describe("the alarm banner", () => {
  test("is not there without an alarm", () => {
    show(alert({ level: "warning", peak_level: "warning" }));
    expect(html("AlarmBanner")).not.toContain("alarm-banner");
  });
  test("has every unacknowledged alarm, the worst first, each to be acknowledged and none to be closed", () => {
    show(alert(), alert({ alert_id: "a-2", pack_id: "P-2", level: "runaway", peak_level: "runaway" }));
    expect(text("AlarmBanner")).toMatch(/2 alarms not acknowledged.*RUNAWAY pack P-2.*CRITICAL pack P-1/);
    expect(html("AlarmBanner").match(/data-testid="acknowledge"/g)?.length).toBe(2);
    expect(html("AlarmBanner")).not.toContain("close-alert");
  });
  test("counts a single one too, for the line that stays in sight on a phone", () => {
    show(alert());
    expect(text("AlarmBanner")).toMatch(/1 alarm not acknowledged.*CRITICAL pack P-1/);
  });
  test("gives an acknowledged alarm to the strip, with by whom, and lets it be closed there", () => {
    show(acknowledged());
    expect(html("AlarmBanner")).not.toContain("alarm-banner");
    expect(text("AcknowledgedStrip")).toMatch(/CRITICAL pack P-1 acknowledged by Ana/);
    expect(html("AcknowledgedStrip")).toContain("close-alert");
  });
  test("lets a dispatcher close nothing that was critical, and a viewer do nothing", () => {
    show(acknowledged());
    signIn("dispatcher");
    expect(html("AcknowledgedStrip")).not.toContain("close-alert");
    show(alert());
    expect(html("AlarmBanner")).toContain('data-testid="acknowledge"');
    signIn("viewer");
    expect(html("AlarmBanner")).not.toContain('data-testid="acknowledge"');
  });
  test("keeps what others have seen until the dispatcher has, and says who has", () => {
    show(alert({ acknowledged_roles: ["driver", "safety lead"] }));
    expect(text("AlarmBanner")).toContain("seen by: driver, safety lead");
    signIn("safety");
    expect(html("AlarmBanner")).not.toContain('data-testid="acknowledge"');
  });
});

describe("the notices", () => {
  const warning = { level: "warning", peak_level: "warning" } as const;
  test("keep what is about the watching apart from heat", () => {
    show(
      alert(warning),
      alert({
        alert_id: "a-2",
        kind: "coverage",
        pack_id: null,
        unit_id: null,
        level: "watch",
        peak_level: "watch",
      }),
      alert({ alert_id: "a-3", kind: "instrument", level: "watch", peak_level: "watch" }),
    );
    expect(text("Notices")).toMatch(
      /1 open notice below critical.*2 open notices about coverage, silent units, instruments and equipment in cabs.*Truck 1/,
    );
  });
  test("keep a shelved one apart, with its owner, end and reason, until that time is over", () => {
    const shelf = { shelved_by: "Ben", shelved_until_ms: NOW_MS + 60_000, shelf_reason: "a hot afternoon" };
    show(alert({ ...warning, ...shelf }));
    expect(text("Notices")).toMatch(/1 open notice on a shelf.*on Ben's shelf until .*“a hot afternoon”/);
    expect(html("Notices")).toContain('data-testid="unshelve"');
    clock.nowMs = NOW_MS + 60_000;
    expect(text("Notices")).toMatch(/1 open notice below critical/);
  });
});

test("a lost connection says how old the screen is", () => {
  live.connection = "lost";
  live.stateAtMs = NOW_MS - 123_000;
  expect(text("ConnectionBar")).toMatch(/NOT LIVE: showing state from \d\d:\d\d:\d\d \(2 min 3 s old\)/);
});

test("a simulated board is marked in words and across the ground", () => {
  live.board = applied(EMPTY_BOARD, [
    { kind: "board", board: board({ simulation: true, packs: [packRow({ provenance: "simulated" })] }) },
  ]);
  expect(html("SimulationMark")).toContain('data-testid="simulation-mark"');
  expect(text("SimulationMark")).toContain("SIMULATION 1 simulated of 1 packs.");
});
