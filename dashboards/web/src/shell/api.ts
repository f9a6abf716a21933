/** The service's JSON over HTTP. Errors say what the caller can do: sign in, look again, or try later. */

import type {
  Alert,
  AlertEvent,
  Board,
  Incident,
  IncidentEvent,
  HotPack,
  PackDetail,
  PackJudgement,
  PackSeries,
  Person,
  PersonHere,
  QuarantinePage,
  ReignitionWatch,
  TripOfPack,
} from "../core/contract";
import type { CallTo, CriticalMinute, Outcome } from "../core/minute";
import type { Shift } from "../core/shift";
import type { OwnDevices } from "../core/push";
import type { TripLink, TripOpening, TripRow } from "../pages/drivers/contract";
import type { Drill, Recipient } from "../pages/people/contract";
import type { PagingState } from "./paging.svelte";
import type { DutyChecklist, DutyStep, EmergencySheet } from "../sheet/contract";

export class ApiError extends Error {
  constructor(
    /** The HTTP status; 0 when the service could not be reached. */
    readonly status: number,
    message: string,
  ) {
    super(message);
  }

  get signedOut(): boolean {
    return this.status === 401;
  }

  /** Somebody else changed it meanwhile. */
  get conflict(): boolean {
    return this.status === 409;
  }
}

type SignedOutListener = () => void;
let onSignedOut: SignedOutListener = () => undefined;

/** One listener, told whenever any call finds the session ended. */
export function listenForSignedOut(listener: SignedOutListener): void {
  onSignedOut = listener;
}

export const api = {
  me: (): Promise<Person> => get("/api/me"),
  signIn: (name: string, password: string): Promise<Person> => post("/api/session", { name, password }),
  signOut: (): Promise<unknown> => call("DELETE", "/api/session"),
  claim: (token: string, name: string, password: string): Promise<Person> =>
    post("/api/claim", { token, name, password }),
  board: (): Promise<Board> => get("/api/board"),
  paging: (): Promise<PagingState> => get("/api/paging"),
  /** Answers the messages that wait for this screen. */
  boardBeat: (boardId: string, sounding: boolean): Promise<{ message_id: string }[]> =>
    post("/api/board/heartbeat", {
      board_id: boardId,
      sounding,
      why: sounding ? null : "its sound is off",
    }),
  boardShown: (messageId: string): Promise<unknown> => post(`/api/board/shown/${messageId}`, {}),
  recipients: (): Promise<Recipient[]> => get("/api/recipients"),
  drills: (recipientId: string): Promise<Drill[]> =>
    get(`/api/recipients/${encodeURIComponent(recipientId)}/drills`),
  devices: (): Promise<OwnDevices> => get("/api/push/devices"),
  addDevice: (subscription: object): Promise<OwnDevices> => post("/api/push/devices", subscription),
  removeDevice: (deviceId: string): Promise<OwnDevices> => call("DELETE", `/api/push/devices/${deviceId}`),
  testDevices: (): Promise<unknown> => post("/api/push/test", {}),
  pack: (packId: string, signal?: AbortSignal): Promise<PackDetail> =>
    get(`/api/packs/${encodeURIComponent(packId)}`, signal),
  series: (
    packId: string,
    fromMs: number,
    toMs: number,
    points: number,
    signal?: AbortSignal,
  ): Promise<PackSeries> =>
    get(
      `/api/packs/${encodeURIComponent(packId)}/series?${new URLSearchParams({
        from_ms: String(Math.floor(fromMs)),
        to_ms: String(Math.ceil(toMs)),
        points: String(points),
      })}`,
      signal,
    ),
  judgement: (
    packId: string,
    fromMs: number,
    toMs: number,
    points: number,
    signal: AbortSignal,
  ): Promise<PackJudgement> =>
    get(
      `/api/packs/${encodeURIComponent(packId)}/judgement?${new URLSearchParams({
        from_ms: String(Math.floor(fromMs)),
        to_ms: String(Math.ceil(toMs)),
        points: String(points),
      })}`,
      signal,
    ),
  tripsOfPack: (packId: string): Promise<TripOfPack[]> =>
    get(`/api/packs/${encodeURIComponent(packId)}/trips`),
  incidentsOfChemistry: (chemistry: string): Promise<Incident[]> =>
    get(`/api/search/incidents?chemistry=${encodeURIComponent(chemistry)}`),
  hotPacks: (aboveC: number): Promise<HotPack[]> => get(`/api/search/hot-packs?above_c=${aboveC}`),
  acknowledge: (alertId: string, version: number, comment: string): Promise<Alert> =>
    post(`/api/alerts/${encodeURIComponent(alertId)}/acknowledge`, {
      version,
      comment: comment === "" ? null : comment,
    }),
  close: (alertId: string, version: number, reason: string, authority: string): Promise<Alert> =>
    post(`/api/alerts/${encodeURIComponent(alertId)}/close`, { version, reason, authority }),
  shelve: (alertId: string, version: number, minutes: number, reason: string): Promise<Alert> =>
    post(`/api/alerts/${encodeURIComponent(alertId)}/shelve`, { version, minutes, reason }),
  unshelve: (alertId: string, version: number): Promise<Alert> =>
    post(`/api/alerts/${encodeURIComponent(alertId)}/unshelve`, { version }),
  incidents: (): Promise<Incident[]> => get("/api/incidents?state=open"),
  incidentEvents: (incidentId: string): Promise<IncidentEvent[]> =>
    get(`/api/incidents/${encodeURIComponent(incidentId)}/events`),
  /** `take-on`, `hand-over`, `accept`, `decline`, `comment` or `close`, with what the step needs. */
  incidentStep: (incidentId: string, step: string, body: object): Promise<Incident> =>
    post(`/api/incidents/${encodeURIComponent(incidentId)}/${step}`, body),
  people: (): Promise<PersonHere[]> => get("/api/people"),
  reignitionWatches: (): Promise<ReignitionWatch[]> => get("/api/reignition-watches"),
  shifts: (): Promise<Shift[]> => get("/api/shifts"),
  offerShift: (to: string, note: string): Promise<Shift> => post("/api/shifts", { to, note }),
  answerShift: (id: number, answer: "accept" | "decline"): Promise<Shift> =>
    post(`/api/shifts/${id}/${answer}`, {}),
  /** Where the map's style is; null: the base map that needs no network. */
  mapSource: (): Promise<{ style: string | null }> => get("/api/map"),
  /** Where a vehicle was in the last hour, oldest first. */
  trail: (
    gatewayId: string,
  ): Promise<{ longitude_deg: number; latitude_deg: number; fixed_at_ms: number }[]> =>
    get(`/api/gateways/${encodeURIComponent(gatewayId)}/trail`),
  minute: (alertId: string, signal?: AbortSignal): Promise<CriticalMinute> =>
    get(`/api/alerts/${encodeURIComponent(alertId)}/minute`, signal),
  noteCall: (incidentId: string, to: CallTo, outcome: Outcome, note = ""): Promise<Incident> =>
    post(`/api/incidents/${encodeURIComponent(incidentId)}/call`, { to, outcome, note }),
  notePlace: (incidentId: string, comment: string): Promise<Incident> =>
    post(`/api/incidents/${encodeURIComponent(incidentId)}/place`, { comment }),
  alertEvents: (alertId: string): Promise<AlertEvent[]> =>
    get(`/api/alerts/${encodeURIComponent(alertId)}/events`),
  emergencyOfAlert: (alertId: string): Promise<EmergencySheet> =>
    get(`/api/alerts/${encodeURIComponent(alertId)}/emergency`),
  duties: (incidentId: string): Promise<DutyChecklist> =>
    get(`/api/incidents/${encodeURIComponent(incidentId)}/duties`),
  takeDutyStep: (incidentId: string, step: DutyStep): Promise<DutyChecklist> =>
    post(`/api/incidents/${encodeURIComponent(incidentId)}/duties`, step),
  makeSheetLink: (incidentId: string): Promise<{ path: string; until_ms: number }> =>
    post(`/api/incidents/${encodeURIComponent(incidentId)}/sheet-link`, {}),
  trips: (): Promise<TripRow[]> => get("/api/trips"),
  openTrip: (opening: TripOpening): Promise<TripLink> => post("/api/trips", opening),
  renewTripLink: (tripId: string): Promise<TripLink> =>
    post(`/api/trips/${encodeURIComponent(tripId)}/link`, {}),
  signCustody: (tripId: string, signedBy: string): Promise<TripRow> =>
    post(`/api/trips/${encodeURIComponent(tripId)}/custody`, { signed_by: signedBy }),
  quarantine: (limit: number, offset: number, signal: AbortSignal): Promise<QuarantinePage> =>
    get(`/api/quarantine?limit=${limit}&offset=${offset}`, signal),
};

export function exportPath(packId: string, fromMs: number, toMs: number, format: "csv" | "parquet"): string {
  const query = new URLSearchParams({
    pack_id: packId,
    from_ms: String(Math.floor(fromMs)),
    to_ms: String(Math.ceil(toMs)),
    format,
  });
  return `/api/export?${query}`;
}

export function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return call("GET", path, undefined, signal);
}

export function post<T>(path: string, body: unknown): Promise<T> {
  return call("POST", path, body);
}

async function call<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      credentials: "same-origin",
      // The service takes an unsafe method only with this header, which no foreign page can send.
      headers: { "X-Packwatch": "1", ...(body === undefined ? {} : { "Content-Type": "application/json" }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, "The service cannot be reached.");
  }
  if (!response.ok) {
    const error = new ApiError(response.status, await refusal(response));
    // At the sign-in itself a 401 means a wrong password, not an ended session.
    if (error.signedOut && path !== "/api/session") onSignedOut();
    throw error;
  }
  return (response.status === 204 ? undefined : await response.json()) as T;
}

/** The service's own sentence where it gives one. */
async function refusal(response: Response): Promise<string> {
  const fallback = `The service answered ${response.status}.`;
  try {
    const body = (await response.json()) as { detail?: unknown };
    if (typeof body.detail === "string") return body.detail;
    if (Array.isArray(body.detail)) {
      const messages = body.detail
        .map((item: { msg?: unknown }) => item.msg)
        .filter((msg) => typeof msg === "string");
      return messages.length > 0 ? messages.join("; ") : fallback;
    }
    return fallback;
  } catch {
    return fallback;
  }
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

export function sentenceOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
