/** The board as the stream left it. Pure: a board and events in, a board out; untouched rows keep their identity. */

import type { Alert, Intake, PackRow, StreamEvent, Vehicle } from "./contract";

export interface LiveBoard {
  readonly packs: ReadonlyMap<string, PackRow>;
  /** By gateway: that is what a pack's row names. */
  readonly vehicles: ReadonlyMap<string, Vehicle>;
  /** Every alert that is not closed. */
  readonly alerts: ReadonlyMap<string, Alert>;
  readonly intake: Intake | null;
  /** Grows whenever an incident may be another than it was: ask for them again. */
  readonly incidentNews: number;
  /** Some pack shown is not measured. */
  readonly simulation: boolean;
}

export const EMPTY_BOARD: LiveBoard = {
  packs: new Map(),
  vehicles: new Map(),
  alerts: new Map(),
  intake: null,
  incidentNews: 0,
  simulation: false,
};

/** Applies events in their order. A whole board replaces everything: what it does not name is gone. */
export function applied(board: LiveBoard, events: readonly StreamEvent[]): LiveBoard {
  let packs: Map<string, PackRow> | null = null;
  let vehicles: Map<string, Vehicle> | null = null;
  let alerts: Map<string, Alert> | null = null;
  let { intake, simulation, incidentNews } = board;
  for (const event of events) {
    switch (event.kind) {
      case "board":
        packs = new Map(event.board.packs.map((row) => [row.pack_id, row]));
        vehicles = new Map(event.board.vehicles.map((vehicle) => [vehicle.gateway_id, vehicle]));
        alerts = new Map(
          event.board.alerts
            .filter((alert) => alert.state !== "closed")
            .map((alert) => [alert.alert_id, alert]),
        );
        intake = event.board.intake;
        incidentNews++; // what happened while nobody was connected
        simulation = event.board.simulation;
        break;
      case "pack":
        packs ??= new Map(board.packs);
        packs.set(event.pack.pack_id, event.pack);
        break;
      case "vehicle":
        vehicles ??= new Map(board.vehicles);
        vehicles.set(event.vehicle.gateway_id, event.vehicle);
        break;
      case "alert":
        alerts ??= new Map(board.alerts);
        putAlert(alerts, event.alert);
        break;
      case "incidents":
        incidentNews++;
        break;
      case "intake":
        intake = event.intake;
        break;
      case "ping":
        break;
    }
  }
  if (packs !== null) simulation ||= [...packs.values()].some((row) => isUnreal(row.provenance));
  return {
    packs: packs ?? board.packs,
    vehicles: vehicles ?? board.vehicles,
    alerts: alerts ?? board.alerts,
    intake,
    incidentNews,
    simulation,
  };
}

/** The answer to one's own acknowledgement may overtake the stream: an older version never replaces a newer. */
function putAlert(alerts: Map<string, Alert>, alert: Alert): void {
  const held = alerts.get(alert.alert_id);
  if (held !== undefined && held.version > alert.version) return;
  if (alert.state === "closed") alerts.delete(alert.alert_id);
  else alerts.set(alert.alert_id, alert);
}

/** Anything but a measured pack. A row that was never heard of has no provenance yet, and claims nothing. */
export function isUnreal(provenance: string | null): boolean {
  return provenance !== null && provenance !== "measured";
}

/** "SIMULATION: ...", for the strip on top of every page; null when all that is shown is measured. */
export function simulationWords(board: LiveBoard): { mark: string; sentence: string } | null {
  if (!board.simulation) return null;
  const rows = [...board.packs.values()];
  const replayed = rows.filter((row) => row.provenance === "replayed").length;
  const invented = rows.filter((row) => isUnreal(row.provenance)).length - replayed;
  const mark = invented === 0 && replayed > 0 ? "REPLAYED" : "SIMULATION";
  const parts = [
    ...(invented > 0 ? [`${invented} simulated`] : []),
    ...(replayed > 0 ? [`${replayed} replayed from recordings`] : []),
  ];
  const told =
    parts.length > 0 ? `${parts.join(", ")} of ${rows.length} packs` : "packs that are not measured";
  return { mark, sentence: `${told}. Their alarms are not real.` };
}
