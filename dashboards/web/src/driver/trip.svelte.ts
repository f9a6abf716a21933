/** The trip on this device: its link, its last state, what the driver said. Kept, so that the page works offline. */

import type { Kept, Language, Situation, TripState, TripTexts } from "./contract";
import { LANGUAGES } from "./contract";
import type { PushCalls } from "../shell/push.svelte";
import { elapsedSince, type Said } from "./shown";

/** Assumed: the cab's own siren is faster, and needs no network; this is what a phone's battery bears. */
const ASK_EVERY_MS = 2_000;
const ANSWER_WITHIN_MS = 8_000;

export type Refusal = "forged" | "expired" | "renewed" | "closed" | "unknown";
export type Sent = "done" | "offline" | "refused";

type Method = "GET" | "POST" | "DELETE";

class Trip {
  token = $state<string | null>(null);
  kept = $state<Kept | null>(null);
  texts = $state<TripTexts | null>(null);
  refusal = $state<Refusal | null>(null);
  language = $state<Language>("en");
  said = $state<Said>(null);
  #receivedAt: number | null = null;
  #chose = false;
  /** The texts were fetched since the page was opened: those kept may be older. */
  #asked = false;

  constructor() {
    const fromLink = location.hash.slice(1);
    const known = read<string>("token");
    if (fromLink !== "" && fromLink !== known) forget();
    this.token = fromLink === "" ? known : fromLink;
    if (this.token !== null) write("token", this.token);
    // Out of the address bar, where people photograph it; it stays on the device until the trip is closed.
    if (fromLink !== "") history.replaceState(null, "", location.pathname);
    this.kept = read<Kept>("state");
    this.texts = read<TripTexts>("texts");
    const chosen = read<Language>("language");
    this.#chose = chosen !== null && LANGUAGES.includes(chosen);
    this.language = this.#chose ? (chosen as Language) : (this.kept?.state.language ?? browserLanguage());
  }

  run(): void {
    const ask = async (): Promise<void> => {
      if (this.token !== null && this.refusal === null) await this.#ask();
      setTimeout(() => void ask(), ASK_EVERY_MS);
    };
    void ask();
  }

  elapsed_ms(device_ms: number): number {
    if (this.kept === null) return Infinity;
    const monotonic = this.#receivedAt === null ? null : performance.now() - this.#receivedAt;
    return elapsedSince(this.kept.received_ms, device_ms, monotonic);
  }

  choose(language: Language): void {
    this.language = language;
    this.#chose = true;
    write("language", language);
  }

  /** One word for all that waits. */
  async acknowledge(): Promise<Sent> {
    for (const each of this.kept?.state.unacknowledged ?? []) {
      const answer = await this.#call("POST", "acknowledge", {
        alert_id: each.alert_id,
        version: each.version,
      });
      if (answer === null) return "offline";
    }
    await this.#ask(); // a refusal means that it changed meanwhile: the newest state shows how
    return "done";
  }

  async say(situation: Situation): Promise<Sent> {
    const answer = await this.#call("POST", "situation", { situation });
    if (answer === null) {
      // The device alone cannot know whether the vehicle moves; what it saw last counts.
      if (this.kept?.state.moving === true && situation !== "driving") return "refused";
      this.said = { situation, at_ms: Date.now() };
      return "done";
    }
    if (!answer.ok) return "refused";
    this.said = { situation, at_ms: Date.now() };
    await this.#ask();
    return "done";
  }

  /** A guardianship that somebody asked for. "refused": no phone of the driver's was tested lately, or it was withdrawn. */
  async answer(guardianId: number, word: "accept" | "decline"): Promise<Sent> {
    const answer = await this.#call("POST", `guardianships/${guardianId}/${word}`, {});
    if (answer === null) return "offline";
    await this.#ask();
    return answer.ok ? "done" : "refused";
  }

  /** The driver's own devices. Raises where the service is not reached, or refuses. */
  readonly push: PushCalls = {
    list: () => this.#json("GET", "push/devices"),
    add: (subscription) => this.#json("POST", "push/devices", subscription),
    remove: (deviceId) => this.#json("DELETE", `push/devices/${deviceId}`),
    test: () => this.#json("POST", "push/test"),
  };

  async #ask(): Promise<void> {
    const answer = await this.#call("GET", "state");
    if (answer === null || !answer.ok) return;
    const state = (await answer.json()) as TripState;
    this.kept = { state, received_ms: Date.now() };
    this.#receivedAt = performance.now();
    write("state", this.kept);
    if (!this.#chose) this.language = state.language;
    if (!this.#asked) await this.#fetchTexts();
  }

  async #fetchTexts(): Promise<void> {
    const answer = await this.#call("GET", "texts");
    if (answer?.ok !== true) return;
    this.texts = (await answer.json()) as TripTexts;
    this.#asked = true;
    write("texts", this.texts);
  }

  async #json<T>(method: Method, path: string, body?: unknown): Promise<T> {
    const answer = await this.#call(method, path, body);
    if (answer?.ok !== true) throw new Error(`${path}: ${answer?.status ?? "no network"}`);
    return (await answer.json()) as T;
  }

  /** Null: the service was not reached. */
  async #call(method: Method, path: string, body?: unknown): Promise<Response | null> {
    let answer: Response;
    try {
      answer = await fetch(`/api/trip/${path}`, {
        method,
        cache: "no-store",
        credentials: "omit",
        signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
        headers: {
          Authorization: `Trip ${this.token}`,
          "X-Packwatch": "1",
          ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    } catch {
      return null;
    }
    if (answer.status === 401 || answer.status === 410) {
      this.refusal = (answer.headers.get("x-packwatch-refusal") as Refusal | null) ?? "unknown";
      this.kept = null;
      forget();
    }
    return answer.status >= 500 ? null : answer;
  }
}

function browserLanguage(): Language {
  const wanted = navigator.language.slice(0, 2);
  return LANGUAGES.find((language) => language === wanted) ?? "en";
}

function read<T>(name: string): T | null {
  try {
    const text = localStorage.getItem(`packwatch.trip.${name}`);
    return text === null ? null : (JSON.parse(text) as T);
  } catch {
    return null;
  }
}

function write(name: string, value: unknown): void {
  try {
    localStorage.setItem(`packwatch.trip.${name}`, JSON.stringify(value));
  } catch {
    // Storage is forbidden or full: the page works as long as it is not closed.
  }
}

function forget(): void {
  for (const name of ["token", "state", "texts"]) {
    try {
      localStorage.removeItem(`packwatch.trip.${name}`);
    } catch {
      // The same.
    }
  }
}

export const trip = new Trip();
