/** The one connection that keeps every page live, and what is known when it breaks. */

import { type ActingRole, newlyUrgent } from "../core/alarms";
import type { Alert, Board, Intake, PackRow, StreamEvent, Vehicle } from "../core/contract";
import { EMPTY_BOARD, type LiveBoard, applied } from "../core/liveboard";
import { ApiError, api } from "./api";
import { clock } from "./clock.svelte";

export type Connection = "connecting" | "live" | "lost";

/** The service says something every 5 s; two missed pings and a little are a dead connection, whatever TCP thinks. */
const SILENCE_MS = 12_000;
/** A break shorter than this (a proxy that renews its connection) is not announced. */
const GRACE_MS = 2_000;
/** Pack rows that arrive together are shown together. */
const GATHER_MS = 100;
const RETRY_MS = [1_000, 2_000, 4_000, 8_000] as const;

type UrgentListener = (alerts: Alert[]) => void;

class Live {
  board: LiveBoard = $state.raw(EMPTY_BOARD);
  connection: Connection = $state("connecting");
  /** The service's time of the newest message, ms UTC; null before the first. */
  stateAtMs: number | null = $state(null);

  #source: EventSource | null = null;
  #gathered: StreamEvent[] = [];
  #gatherTimer: ReturnType<typeof setTimeout> | null = null;
  #retryTimer: ReturnType<typeof setTimeout> | null = null;
  #graceTimer: ReturnType<typeof setTimeout> | null = null;
  #watchdog: ReturnType<typeof setTimeout> | null = null;
  #failures = 0;
  /** The board on this page leads up to the stream: a new connection has to send a whole one first, a resumed one not. */
  #current = false;
  #role: ActingRole = null;
  #onUrgent: UrgentListener = () => undefined;

  /** Connects, and stays connected until the returned function is called. `onUrgent`: of what `role` must hear. */
  start(role: ActingRole, onUrgent: UrgentListener): () => void {
    this.#role = role;
    this.#onUrgent = onUrgent;
    this.connection = "connecting";
    this.#connect();
    return () => this.#stop();
  }

  /** An alert that came as the answer to one's own request. */
  put(alert: Alert): void {
    this.#apply([{ kind: "alert", alert }]);
  }

  #connect(): void {
    this.#source?.close();
    const source = new EventSource("/api/stream");
    this.#current = false;
    this.#source = source;
    const on = <T>(name: string, event: (value: T) => StreamEvent): void => {
      source.addEventListener(name, (message: MessageEvent<string>) => {
        if (source === this.#source) this.#receive(event(JSON.parse(message.data) as T));
      });
    };
    on<Board>("board", (board) => ({ kind: "board", board }));
    on<PackRow>("pack", (pack) => ({ kind: "pack", pack }));
    on<Alert>("alert", (alert) => ({ kind: "alert", alert }));
    on<Vehicle>("vehicle", (vehicle) => ({ kind: "vehicle", vehicle }));
    on<unknown>("incidents", () => ({ kind: "incidents" }));
    on<Intake>("intake", (intake) => ({ kind: "intake", intake }));
    on<{ now_ms: number }>("ping", ({ now_ms }) => ({ kind: "ping", now_ms }));
    source.onerror = () => {
      if (source === this.#source) this.#broke();
    };
    this.#watch();
  }

  #receive(event: StreamEvent): void {
    if (event.kind === "board") clock.setService(event.board.now_ms);
    if (event.kind === "ping") clock.setService(event.now_ms);
    this.stateAtMs = clock.preciseMs();
    this.#failures = 0;
    if (this.#graceTimer !== null) clearTimeout(this.#graceTimer);
    this.#graceTimer = null;
    if (event.kind === "board") this.#current = true;
    if (this.#current) this.connection = "live";
    this.#watch();
    this.#gathered.push(event);
    // A hidden tab's timers are slowed down to once a minute: an alarm does not wait for one.
    if (event.kind === "alert" || event.kind === "board") this.#flush();
    else this.#gatherTimer ??= setTimeout(() => this.#flush(), GATHER_MS);
  }

  #flush(): void {
    if (this.#gatherTimer !== null) clearTimeout(this.#gatherTimer);
    this.#gatherTimer = null;
    const events = this.#gathered;
    this.#gathered = [];
    this.#apply(events);
  }

  #apply(events: readonly StreamEvent[]): void {
    const before = this.board;
    this.board = applied(before, events);
    if (this.board.alerts === before.alerts) return;
    const urgent = newlyUrgent(before.alerts, this.board.alerts, this.#role);
    if (urgent.length > 0) this.#onUrgent(urgent);
  }

  #broke(): void {
    this.#graceTimer ??= setTimeout(() => (this.connection = "lost"), GRACE_MS);
    // EventSource reconnects by itself, with the id of the last message, unless the service refused it.
    if (this.#source?.readyState === EventSource.CLOSED) void this.#refused();
  }

  async #refused(): Promise<void> {
    try {
      await api.me();
    } catch (error) {
      // An ended session leads to the sign-in, and that stops this connection.
      if (error instanceof ApiError && error.signedOut) return;
    }
    const wait = RETRY_MS[Math.min(this.#failures, RETRY_MS.length - 1)] ?? 8_000;
    this.#failures++;
    if (this.#retryTimer !== null) clearTimeout(this.#retryTimer);
    this.#retryTimer = setTimeout(() => this.#source !== null && this.#connect(), wait);
  }

  #watch(): void {
    if (this.#watchdog !== null) clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => {
      this.connection = "lost";
      this.#connect();
    }, SILENCE_MS);
  }

  #stop(): void {
    this.#source?.close();
    this.#source = null;
    for (const timer of [this.#gatherTimer, this.#retryTimer, this.#graceTimer, this.#watchdog]) {
      if (timer !== null) clearTimeout(timer);
    }
    this.#gatherTimer = this.#retryTimer = this.#graceTimer = this.#watchdog = null;
    this.#gathered = [];
    this.#failures = 0;
    this.board = EMPTY_BOARD;
    this.stateAtMs = null;
    this.connection = "connecting";
  }
}

export const live = new Live();
