/** This browser's subscription to web push, kept by the service for a person. Push is extra, never the alarm. */

import {
  type OwnDevices,
  type PushFacts,
  type PushState,
  deviceLabel,
  mustTell,
  pushState,
  thisDevice,
} from "../core/push";

/** The service's side. Each raises where it is not reached, or refuses. */
export interface PushCalls {
  list(): Promise<OwnDevices>;
  add(subscription: object): Promise<OwnDevices>;
  remove(deviceId: string): Promise<OwnDevices>;
  test(): Promise<unknown>;
}

export class Push {
  facts: PushFacts = $state.raw({
    secure: window.isSecureContext,
    supported: "serviceWorker" in navigator && "PushManager" in window && "Notification" in window,
    permission: "Notification" in window ? Notification.permission : "denied",
    subscribed: null,
    own: null,
  });
  readonly state: PushState = $derived(pushState(this.facts));
  readonly here = $derived(thisDevice(this.facts));
  #calls: PushCalls;
  #scope: string;

  /** `scope`: of the service worker that shows the messages. */
  constructor(calls: PushCalls, scope: string) {
    this.#calls = calls;
    this.#scope = scope;
  }

  /** How things stand. A browser that is subscribed already is told to the service. Raises what a call raises. */
  async look(): Promise<void> {
    if (!this.facts.secure || !this.facts.supported) return;
    const own = await this.#calls.list();
    const subscription = await (await this.#worker()).pushManager.getSubscription();
    await this.#stands(own, subscription);
    if (subscription !== null && mustTell(this.facts)) await this.#tell(subscription);
  }

  /** From a press only: asks the browser, subscribes, tells the service. */
  async turnOn(): Promise<void> {
    const key = this.facts.own?.push_key;
    if (key == null) return;
    const permission = await Notification.requestPermission();
    this.facts = { ...this.facts, permission };
    if (permission !== "granted") return;
    const asked = { userVisibleOnly: true, applicationServerKey: key };
    await this.#tell(await (await this.#worker()).pushManager.subscribe(asked));
  }

  /** Ends one of the person's devices; this browser's own subscription with it, where it is this one. */
  async remove(deviceId: string): Promise<void> {
    const own = await this.#calls.remove(deviceId);
    const subscription = await (await this.#worker()).pushManager.getSubscription();
    const ends = deviceId === this.facts.subscribed;
    if (ends) await subscription?.unsubscribe();
    await this.#stands(own, ends ? null : subscription);
  }

  async test(): Promise<void> {
    await this.#calls.test();
  }

  async #tell(subscription: PushSubscription): Promise<void> {
    const { endpoint, keys } = subscription.toJSON();
    const label = deviceLabel(navigator.userAgent);
    const own = await this.#calls.add({ endpoint, p256dh: keys?.["p256dh"], auth: keys?.["auth"], label });
    await this.#stands(own, subscription);
  }

  async #stands(own: OwnDevices, subscription: PushSubscription | null): Promise<void> {
    const subscribed = subscription === null ? null : await idOf(subscription.endpoint);
    this.facts = { ...this.facts, own, subscribed, permission: Notification.permission };
  }

  async #worker(): Promise<ServiceWorkerRegistration> {
    await navigator.serviceWorker.register("/trip-worker.js", { scope: this.#scope });
    return navigator.serviceWorker.ready;
  }
}

/** As the service calls a subscription: the SHA-256 of its endpoint. */
async function idOf(endpoint: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(endpoint));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
