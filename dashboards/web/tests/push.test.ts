import { describe, expect, test } from "vitest";

import {
  type OwnDevice,
  type PushFacts,
  type PushState,
  deviceLabel,
  mustTell,
  pushState,
} from "../src/core/push";

const PHONE: OwnDevice = {
  device_id: "aa",
  label: "Chrome on Android",
  added_at_ms: 1,
  proved_at_ms: null,
  failed_at_ms: null,
  failed_why: null,
};
const OWN = { name: "Ana", push_key: "BKey", proved_at_ms: null, devices: [PHONE] };
const FACTS: PushFacts = {
  secure: true,
  supported: true,
  permission: "granted",
  subscribed: "aa",
  own: OWN,
};

describe("how web push stands on this device", () => {
  test.each<[string, Partial<PushFacts>, PushState]>([
    ["subscribed, allowed, and known to the service", {}, "on"],
    ["over plain http no browser does it", { secure: false, supported: false }, "insecure"],
    ["the browser cannot", { supported: false }, "unsupported"],
    ["the service has not said yet", { own: null }, "asking"],
    ["the installation has no key", { own: { ...OWN, push_key: null } }, "none"],
    ["the person, or the browser, said no", { permission: "denied" }, "blocked"],
    ["nobody was asked yet", { permission: "default", subscribed: null }, "off"],
    ["allowed, and not subscribed", { subscribed: null }, "off"],
    ["allowed once, and asked anew", { permission: "default" }, "off"],
    [
      "the push service says that it is gone",
      { own: { ...OWN, devices: [{ ...PHONE, failed_at_ms: 2 }] } },
      "failing",
    ],
    ["another person's device now", { own: { ...OWN, devices: [] } }, "off"],
  ])("%s: %s", (_, changes, state) => {
    expect(pushState({ ...FACTS, ...changes })).toBe(state);
  });
});

test.each<[string, Partial<PushFacts>, boolean]>([
  ["the service knows it", {}, false],
  ["it does not: a new trip", { own: { ...OWN, devices: [] } }, true],
  ["not without leave", { own: { ...OWN, devices: [] }, permission: "default" }, false],
  ["not without a subscription", { own: { ...OWN, devices: [] }, subscribed: null }, false],
  ["not where nothing is sent", { own: { ...OWN, devices: [], push_key: null } }, false],
])("a browser that is subscribed is told to the service: %s", (_, changes, tells) => {
  expect(mustTell({ ...FACTS, ...changes })).toBe(tells);
});

test.each([
  [
    "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/131.0 Mobile Safari/537.36",
    "Chrome on Android",
  ],
  ["Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) Version/18.1 Safari/604.1", "Safari on iPhone"],
  ["Mozilla/5.0 (Windows NT 10.0) Chrome/131.0 Safari/537.36 Edg/131.0", "Edge on Windows"],
  ["something else", "Browser"],
])("%s is called %s", (agent, label) => {
  expect(deviceLabel(agent)).toBe(label);
});
