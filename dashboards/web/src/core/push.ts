/** Web push on this device: what stands in its way, or what it is. Pure. */

/** One of a person's devices, as the service keeps it. */
export interface OwnDevice {
  readonly device_id: string;
  readonly label: string;
  readonly added_at_ms: number;
  /** When it last showed a message; null: never. */
  readonly proved_at_ms: number | null;
  readonly failed_at_ms: number | null;
  readonly failed_why: string | null;
}

export interface OwnDevices {
  readonly name: string;
  /** By which a browser subscribes; null: this installation sends no web push. */
  readonly push_key: string | null;
  readonly proved_at_ms: number | null;
  readonly devices: readonly OwnDevice[];
}

export interface PushFacts {
  /** The page came over https, or from this machine. */
  readonly secure: boolean;
  /** The browser has service workers, notifications and web push. */
  readonly supported: boolean;
  readonly permission: NotificationPermission;
  /** The id of this browser's subscription; null: it has none. */
  readonly subscribed: string | null;
  /** null: the service has not said yet. */
  readonly own: OwnDevices | null;
}

export type PushState = "asking" | "insecure" | "unsupported" | "none" | "blocked" | "off" | "on" | "failing";

export function pushState(facts: PushFacts): PushState {
  if (!facts.secure) return "insecure";
  if (!facts.supported) return "unsupported";
  if (facts.own === null) return "asking";
  if (facts.own.push_key === null) return "none";
  if (facts.permission === "denied") return "blocked";
  const here = thisDevice(facts);
  if (facts.permission !== "granted" || here === undefined) return "off";
  return here.failed_at_ms === null ? "on" : "failing";
}

/** This browser among the person's devices. */
export function thisDevice(facts: PushFacts): OwnDevice | undefined {
  return facts.own?.devices.find((device) => device.device_id === facts.subscribed);
}

/** The browser is subscribed, and the service does not know for whom: a new trip, or another person. */
export function mustTell(facts: PushFacts): boolean {
  return (
    facts.permission === "granted" &&
    facts.subscribed !== null &&
    facts.own !== null &&
    facts.own.push_key !== null &&
    thisDevice(facts) === undefined
  );
}

/** "Chrome on Android", as people tell their devices apart; by what browsers say of themselves. */
export function deviceLabel(userAgent: string): string {
  const browser =
    (
      [
        ["Edg/", "Edge"],
        ["Firefox/", "Firefox"],
        ["Chrome/", "Chrome"],
        ["Safari/", "Safari"],
      ] as const
    ).find(([mark]) => userAgent.includes(mark))?.[1] ?? "Browser";
  const system = (
    [
      ["Android", "Android"],
      ["iPhone", "iPhone"],
      ["iPad", "iPad"],
      ["Windows", "Windows"],
      ["Mac OS", "Mac"],
      ["Linux", "Linux"],
    ] as const
  ).find(([mark]) => userAgent.includes(mark))?.[1];
  return system === undefined ? browser : `${browser} on ${system}`;
}
