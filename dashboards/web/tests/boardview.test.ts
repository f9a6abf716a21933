import { describe, expect, test } from "vitest";

import {
  type BoardView,
  WHOLE_BOARD,
  isNarrowed,
  parseSavedViews,
  parseView,
  rowsInView,
  viewSearch,
} from "../src/core/boardview";
import { isLate } from "../src/core/freshness";
import { leadC } from "../src/core/lead";
import { boundsOf, marksOf, worstByGateway } from "../src/core/mapmarks";
import { worstFirst } from "../src/core/ranking";
import { regionAt, regionOfRings } from "../src/core/regions";
import { rowsInSight } from "../src/core/virtual";
import { packRow, vehicle } from "./made";

const NOW = 1_800_000_000_000;
const live = { sampled_at_ms: NOW, received_at_ms: NOW };
const view = (changes: Partial<BoardView>): BoardView => ({ ...WHOLE_BOARD, ...changes });

describe("a view in the address", () => {
  test("the whole board needs none", () => {
    expect(viewSearch(WHOLE_BOARD)).toBe("");
    expect(parseView("")).toEqual(WHOLE_BOARD);
  });

  test("all that was chosen comes back", () => {
    const all = view({
      find: "PK & <b>",
      fleet: "midwest",
      level: "warning",
      packClass: "damaged_defective_recalled",
      region: "Iowa",
      silent: true,
      vehicle: "GW-1",
      show: "map",
      at: [-93.6, 41.6, 7.5],
      wall: true,
    });
    expect(parseView(viewSearch(all))).toEqual(all);
  });

  test.each(["?level=boiling", "?show=upside+down", "?at=1,2", "?at=999,0,3", "?at=NaN,1,1", "?silent=yes"])(
    "%s makes no sense and is as if it were not there",
    (search) => {
      expect(parseView(search)).toEqual(WHOLE_BOARD);
    },
  );

  test("saved views that cannot be read are none", () => {
    expect(parseSavedViews("{")).toEqual([]);
    expect(parseSavedViews('{"a":1}')).toEqual([]);
    expect(parseSavedViews('[{"name":"Night","search":"?level=watch"},{"name":1},null]')).toEqual([
      { name: "Night", search: "?level=watch" },
    ]);
  });
});

describe("rows of a view", () => {
  const rows = [
    packRow({ ...live, pack_id: "A", fleet_id: "east", level: "warning", pack_class: "mid_life" }),
    packRow({ ...live, pack_id: "B", fleet_id: "west", level: "normal", pack_class: "end_of_life" }),
    packRow({ ...live, pack_id: "C", fleet_id: "west", level: "watch", silent: true }),
  ];
  const ids = (changes: Partial<BoardView>) =>
    rowsInView(rows, view(changes), NOW, (row) => (row.pack_id === "A" ? "Iowa" : "")).map(
      (row) => row.pack_id,
    );
  test.each<[string, Partial<BoardView>, string[]]>([
    ["no choice shows all", {}, ["A", "B", "C"]],
    ["carrier", { fleet: "west" }, ["B", "C"]],
    ["a level and what is worse", { level: "watch" }, ["A", "C"]],
    ["class", { packClass: "end_of_life" }, ["B"]],
    ["silence", { silent: true }, ["C"]],
    ["region", { region: "Iowa" }, ["A"]],
    ["words", { find: " b " }, ["B"]],
    ["all together", { fleet: "west", find: "c", silent: true }, ["C"]],
  ])("%s", (_, changes, expected) => {
    expect(ids(changes)).toEqual(expected);
    expect(isNarrowed(view(changes))).toBe(expected.length < 3);
  });
});

test("of one level, what may rise soonest is first, then the hottest", () => {
  const rows = [
    packRow({ ...live, pack_id: "hot", level: "watch", hottest_c: 50 }),
    packRow({ ...live, pack_id: "soon", level: "watch", hottest_c: 30, forecast_s: [300, 900] }),
    packRow({ ...live, pack_id: "later", level: "watch", hottest_c: 40, forecast_s: [3000, 9000] }),
    packRow({ ...live, pack_id: "worst", level: "critical", hottest_c: 20 }),
  ];
  expect(worstFirst(rows, NOW).map((row) => row.pack_id)).toEqual(["worst", "soon", "later", "hot"]);
});

describe("marks on the map", () => {
  test("a vehicle has the level of its worst pack", () => {
    const worst = worstByGateway(
      [
        packRow({ ...live, gateway_id: "G", level: "normal" }),
        packRow({ ...live, gateway_id: "G", level: "warning" }),
        packRow({ ...live, gateway_id: null, level: "critical" }),
      ],
      NOW,
    );
    expect([...worst]).toEqual([["G", "warning"]]);
    const at = vehicle({ gateway_id: "G", latitude_deg: 41, longitude_deg: -93, fixed_at_ms: NOW - 400_000 });
    const [mark] = marksOf(worst, new Map([["G", { ...at, speed_m_s: 0 }]]), NOW);
    expect(mark?.properties).toMatchObject({ gateway: "G", rank: 3, heading: -1, stale: true });
    expect(boundsOf([mark!])).toEqual([-93, 41, -93, 41]);
  });

  test("a vehicle without a fix has none, and none have no bounds", () => {
    const lost = vehicle({ gateway_id: "G", latitude_deg: null, longitude_deg: null });
    expect(marksOf(new Map([["G", "normal"]]), new Map([["G", lost]]), NOW)).toEqual([]);
    expect(boundsOf([])).toBeNull();
  });
});

test("a place is in the region around it, and not in its holes", () => {
  const square = (from: number, to: number): [number, number][] => [
    [from, from],
    [to, from],
    [to, to],
    [from, to],
  ];
  const regions = [regionOfRings("Ring", [square(0, 10), square(4, 6)])];
  expect(regionAt(regions, 2, 2)).toBe("Ring");
  expect(regionAt(regions, 5, 5)).toBe("");
  expect(regionAt(regions, 20, 5)).toBe("");
});

test.each([
  ["at the top", 5000, 300, { first: 0, end: 14 }],
  ["far down", 5000, -100_000, { first: 992, end: 1017 }],
  ["past the end", 10, -100_000, { first: 9, end: 10 }],
  ["none", 0, 0, { first: 0, end: 0 }],
])("rows in sight: %s", (_, count, top, expected) => {
  expect(rowsInSight(count, 100, top, 900)).toEqual(expected);
});

test("the lead is over the median of the others", () => {
  expect(leadC(packRow({ temperatures_c: [20, 50, 22, null], hottest_c: 50, hottest_probe: 2 }))).toBe(29);
  expect(leadC(packRow({ temperatures_c: [50], hottest_c: 50, hottest_probe: 1 }))).toBeNull();
  expect(leadC(packRow({ hottest_c: null }))).toBeNull();
});

test("late is what took more than a minute to arrive, but no replay", () => {
  const late = { sampled_at_ms: NOW - 61_000, received_at_ms: NOW };
  expect(isLate(packRow(late))).toBe(true);
  expect(isLate(packRow({ ...late, provenance: "replayed" }))).toBe(false);
  expect(isLate(packRow(live))).toBe(false);
});
