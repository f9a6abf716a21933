/** The service worker of the driver's page, which opens without a network, and of everybody's push messages.
 *
 * It is registered twice: for the driver's page, and for the board, where it only shows messages. Push is extra, never
 * the alarm: a device in power saving may get nothing.
 */

/// <reference lib="webworker" />
export {};
declare const self: ServiceWorkerGlobalScope;

const CACHE = "packwatch-trip";
const PAGE = "/t";
/** Where the page leaves whether somebody drives: `{ wordless: boolean }`. */
const LAST = "/t-last";
/** Whether this registration is the driver's page's. */
const DRIVES = new URL(self.registration.scope).pathname === PAGE;
/** Assumed: a network that does not answer by then is none. */
const ANSWER_WITHIN_MS = 4_000;

/** What a push message brings. All of it may be missing. */
interface Message {
  /** The same message again takes the place of the one shown. */
  id?: string;
  /** By which the device may say that it has shown the message: only that counts. */
  token?: string;
  title?: string;
  body?: string;
  lang?: string;
  /** Where more stands. */
  link?: string;
}

self.addEventListener("install", (event) => {
  event.waitUntil((DRIVES ? fetchPage() : Promise.resolve()).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (!DRIVES) return;
  if (event.request.method !== "GET" || url.origin !== self.location.origin) return;
  if (event.request.mode === "navigate" && url.pathname === PAGE) event.respondWith(page());
  else if (!url.pathname.startsWith("/api/")) event.respondWith(kept(event.request));
});

self.addEventListener("push", (event) => {
  event.waitUntil(show(messageOf(event.data)));
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  const link = (event.notification.data as { link?: string } | null)?.link;
  event.waitUntil(DRIVES ? openPage() : openBoard(link));
});

/** The newest page and all that it names, into the cache. */
async function fetchPage(): Promise<Response> {
  const answer = await fetch(PAGE, { cache: "no-cache", signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
  if (!answer.ok) return answer;
  const cache = await caches.open(CACHE);
  const html = await answer.clone().text();
  const named = [...html.matchAll(/(?:src|href)="(\/[^"]+)"/g)].map((found) => found[1] ?? "");
  const held = new Set((await cache.keys()).map((request) => new URL(request.url).pathname));
  await cache.addAll(named.filter((path) => !held.has(path)));
  await cache.put(PAGE, answer.clone());
  const wanted = new Set([PAGE, LAST, ...named]);
  await Promise.all([...held].filter((path) => !wanted.has(path)).map((path) => cache.delete(path)));
  return answer;
}

async function page(): Promise<Response> {
  try {
    const answer = await fetchPage();
    if (answer.ok) return answer;
  } catch {
    // No network.
  }
  return (await caches.match(PAGE)) ?? Response.error();
}

async function kept(request: Request): Promise<Response> {
  return (await caches.match(request)) ?? fetch(request);
}

function messageOf(data: PushMessageData | null): Message {
  try {
    return (data?.json() as Message | undefined) ?? {};
  } catch {
    return {}; // Not ours, or damaged: that something came is shown all the same.
  }
}

/** Who drives gets nothing to read (49 CFR 392.80); neither does who may be driving. */
async function mayRead(): Promise<boolean> {
  if (!DRIVES) return true;
  const last = await caches.match(LAST);
  return last !== undefined && ((await last.json()) as { wordless: boolean }).wordless === false;
}

async function show(message: Message): Promise<void> {
  const options = {
    tag: message.id ?? "packwatch",
    icon: "/favicon.svg",
    requireInteraction: true,
    data: { link: message.link },
  };
  if (await mayRead())
    await self.registration.showNotification(message.title ?? "Packwatch", {
      ...options,
      body: message.body ?? "",
      lang: message.lang ?? "",
    });
  else await self.registration.showNotification("Packwatch", options);
  if (message.id !== undefined && message.token !== undefined) await tell(message.id, message.token);
}

async function tell(id: string, token: string): Promise<void> {
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
  const body = JSON.stringify({ state: "shown", device: await deviceId() });
  try {
    await fetch(`/api/receipts/${encodeURIComponent(id)}`, { method: "POST", headers, body });
  } catch {
    // No network: without a receipt the next channel starts, as it should.
  }
}

/** As the service calls this device: the SHA-256 of its subscription's endpoint. Undefined: it is subscribed no more. */
async function deviceId(): Promise<string | undefined> {
  const subscription = await self.registration.pushManager.getSubscription();
  if (subscription === null) return undefined;
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(subscription.endpoint));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function openBoard(link: string | undefined): Promise<void> {
  const url = new URL(link ?? "/", self.location.origin);
  await self.clients.openWindow(url.origin === self.location.origin ? url.href : "/");
}

async function openPage(): Promise<void> {
  const open = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const ours = open.find((client) => new URL(client.url).pathname === PAGE);
  await (ours === undefined ? self.clients.openWindow(PAGE) : ours.focus());
}
