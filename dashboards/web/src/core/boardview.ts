/** What a viewer chose to see of the board: all of it stands in the address, so that a link shows the same. */

import type { Level, PackRow } from "./contract";
import { shownLevel } from "./freshness";
import { LEVELS_WORST_FIRST, rankOf } from "./levels";

export interface BoardView {
  /** Words that a row must hold. */
  readonly find: string;
  readonly fleet: string;
  /** The mildest level to show; "" = all. */
  readonly level: Level | "";
  readonly packClass: string;
  readonly region: string;
  readonly silent: boolean;
  /** The gateway of the vehicle that is chosen. */
  readonly vehicle: string;
  readonly show: "both" | "list" | "map";
  /** Longitude, latitude, zoom; null: all vehicles are in sight. */
  readonly at: readonly [number, number, number] | null;
  /** A screen on the wall: no controls, larger. */
  readonly wall: boolean;
}

export const WHOLE_BOARD: BoardView = {
  find: "",
  fleet: "",
  level: "",
  packClass: "",
  region: "",
  silent: false,
  vehicle: "",
  show: "both",
  at: null,
  wall: false,
};

/** The view in a query string. What makes no sense there is as if it were not there. */
export function parseView(search: string): BoardView {
  const query = new URLSearchParams(search);
  const text = (name: string): string => (query.get(name) ?? "").slice(0, 200);
  const level = text("level");
  const show = text("show");
  const at = text("at").split(",").map(Number);
  const onEarth =
    at.length === 3 && at.every(Number.isFinite) && Math.abs(at[0]!) <= 180 && Math.abs(at[1]!) <= 90;
  return {
    find: text("find"),
    fleet: text("fleet"),
    level: LEVELS_WORST_FIRST.find((each) => each === level) ?? "",
    packClass: text("class"),
    region: text("region"),
    silent: text("silent") === "1",
    vehicle: text("vehicle"),
    show: show === "list" || show === "map" ? show : "both",
    at: onEarth ? [at[0]!, at[1]!, Math.min(22, Math.max(0, at[2]!))] : null,
    wall: text("wall") === "1",
  };
}

/** "?level=warning&...", "" for the whole board. */
export function viewSearch(view: BoardView): string {
  const query = new URLSearchParams();
  const put = (name: string, value: string): void => {
    if (value !== "") query.set(name, value);
  };
  put("find", view.find);
  put("fleet", view.fleet);
  put("level", view.level);
  put("class", view.packClass);
  put("region", view.region);
  put("silent", view.silent ? "1" : "");
  put("vehicle", view.vehicle);
  put("show", view.show === "both" ? "" : view.show);
  put(
    "at",
    view.at === null ? "" : `${view.at[0].toFixed(3)},${view.at[1].toFixed(3)},${view.at[2].toFixed(1)}`,
  );
  put("wall", view.wall ? "1" : "");
  const text = query.toString();
  return text === "" ? "" : `?${text}`;
}

/** Whether the view leaves rows out. */
export function isNarrowed(view: BoardView): boolean {
  return (
    view.find.trim() !== "" ||
    view.silent ||
    [view.fleet, view.level, view.packClass, view.region].some((each) => each !== "")
  );
}

/** The rows that a view shows, in the order given. regionOf: of a row's vehicle. */
export function rowsInView(
  rows: readonly PackRow[],
  view: BoardView,
  nowMs: number,
  regionOf: (row: PackRow) => string,
): readonly PackRow[] {
  if (!isNarrowed(view)) return rows;
  const words = view.find.trim().toLowerCase();
  const least = view.level === "" ? -1 : rankOf(view.level);
  return rows.filter(
    (row) =>
      (view.fleet === "" || row.fleet_id === view.fleet) &&
      (view.packClass === "" || row.pack_class === view.packClass) &&
      (!view.silent || row.silent) &&
      rankOf(shownLevel(row, nowMs)) >= least &&
      (words === "" ||
        `${row.pack_id} ${row.unit_id} ${row.vehicle_name ?? ""} ${row.chemistry ?? ""}`
          .toLowerCase()
          .includes(words)) &&
      (view.region === "" || regionOf(row) === view.region),
  );
}

/** A view that somebody named. */
export interface SavedView {
  readonly name: string;
  readonly search: string;
}

/** What a browser kept, if it can be read. */
export function parseSavedViews(text: string | null): SavedView[] {
  try {
    const found: unknown = JSON.parse(text ?? "[]");
    if (!Array.isArray(found)) return [];
    return found.filter(
      (each: Partial<SavedView>) => typeof each?.name === "string" && typeof each?.search === "string",
    );
  } catch {
    return [];
  }
}
