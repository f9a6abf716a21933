/** A stand-in for the service while the pages are worked on: `npm run dev`. No part of what is built. */

import type { IncomingMessage, ServerResponse } from "node:http";

import type { Connect, Plugin } from "vite";

import type { Alert, AlertEvent, Intake, Level } from "../src/core/contract.ts";
import { LEVEL_LOOKS } from "../src/core/levels.ts";
import { PACKS, boardOf, levelOf, rowOf, seriesOf, vehicleOf } from "./convoy.ts";

const CSP =
  "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'";
const startMs = Date.now();
const alerts = new Map<string, Alert>();
const lives = new Map<string, AlertEvent[]>();
const streams = new Set<ServerResponse>();
let signedIn = process.env["MOCK_SIGNED_OUT"] === undefined;
let eventId = 0;
let started = false;

export function mockApi(): Plugin {
  const install = (middlewares: Connect.Server): void => {
    if (!started) setInterval(move, 1000).unref();
    started = true;
    middlewares.use((request, response, next) => {
      response.setHeader("Content-Security-Policy", CSP);
      if (request.url?.startsWith("/api/")) void answer(request, response);
      else next();
    });
  };
  return {
    name: "packwatch-mock-api",
    configureServer(server) {
      // Vite's own client is inline: only the preview of the real build is held to the policy.
      if (!started) setInterval(move, 1000).unref();
      started = true;
      server.middlewares.use((request, response, next) => {
        if (request.url?.startsWith("/api/")) void answer(request, response);
        else next();
      });
    },
    configurePreviewServer: (server) => install(server.middlewares),
  };
}

/** One second of the convoy: alerts rise with the temperatures, rows go out to every stream. */
function move(): void {
  const now = Date.now();
  PACKS.forEach((pack, i) => {
    const open = [...alerts.values()].find(
      (alert) => alert.pack_id === pack.pack_id && alert.state !== "closed",
    );
    const row = rowOf(i, now, startMs, undefined);
    const level = levelOf(row.hottest_c);
    if (row.hottest_c !== null && LEVEL_LOOKS[level].rank >= LEVEL_LOOKS.warning.rank) {
      const ceiling = level === "warning" ? 60 : 80;
      const reason = `probe ${row.hottest_probe} is ${row.hottest_c.toFixed(1)} degC, above ${ceiling} degC, and rising ${(row.rise_c_per_min ?? 0).toFixed(2)} degC/min`;
      if (!open) raise(i, level, reason, now);
      else if (LEVEL_LOOKS[level].rank > LEVEL_LOOKS[open.peak_level].rank)
        escalate(open, level, reason, now);
    }
    send(
      "pack",
      rowOf(
        i,
        now,
        startMs,
        [...alerts.values()].find((a) => a.pack_id === pack.pack_id && a.state !== "closed"),
      ),
    );
  });
  for (let i = 0; i < 3; i++) send("vehicle", vehicleOf(i, now, startMs));
  send("intake", intake());
  if (Math.floor(now / 1000) % 5 === 0) send("ping", { now_ms: now });
}

function raise(pack: number, level: Level, reason: string, now: number): void {
  const row = rowOf(pack, now, startMs, undefined);
  change(
    {
      alert_id: crypto.randomUUID(),
      kind: row.unregistered ? "unregistered" : "thermal",
      cause: "ceiling",
      pack_id: row.pack_id,
      unit_id: row.unit_id,
      gateway_id: row.gateway_id,
      vehicle_name: row.vehicle_name,
      level,
      peak_level: level,
      state: "raised",
      provenance: row.provenance ?? "measured",
      reasons: [reason],
      sampled_at_ms: now - 400,
      raised_at_ms: now,
      cleared_at_ms: null,
      acknowledged_by: null,
      acknowledged_at_ms: null,
      acknowledgement_comment: null,
      closed_by: null,
      closed_at_ms: null,
      close_reason: null,
      version: 0,
      acknowledged_roles: [],
      shelved_by: null,
      shelved_until_ms: null,
      shelf_reason: null,
      releasing_authority: null,
    },
    {},
    "raise",
  );
}

function escalate(alert: Alert, level: Level, reason: string, now: number): void {
  change(
    alert,
    {
      level,
      peak_level: level,
      reasons: [reason],
      sampled_at_ms: now,
      state: "raised",
      acknowledged_roles: [],
    },
    "escalate",
  );
}

function change(alert: Alert, to: Partial<Alert>, action: string, comment: string | null = null): Alert {
  const after: Alert = { ...alert, ...to, version: alert.version + 1 };
  alerts.set(after.alert_id, after);
  const step: AlertEvent = {
    alert_id: after.alert_id,
    at_ms: Date.now(),
    sampled_at_ms: after.sampled_at_ms,
    action,
    from_state: alert.version === 0 ? null : alert.state,
    to_state: after.state,
    level: after.level,
    actor: action === "acknowledge" || action === "close" ? "Ana Ruiz" : null,
    comment,
    reasons: after.reasons,
  };
  lives.set(after.alert_id, [...(lives.get(after.alert_id) ?? []), step]);
  send("alert", after);
  return after;
}

function intake(): Intake {
  const seconds = Math.floor((Date.now() - startMs) / 1000);
  return {
    messages: 48_210 + seconds * 40,
    batches: 41_022 + seconds * 13,
    values: 3_401_552 + seconds * 1_040,
    stored_rows: 283_100 + seconds * 52,
    duplicate_batches: 12,
    refused_by_reason: {
      protobuf_malformed: 3,
      array_length: 1,
      birth_missing: 17,
      frame_truncated: 2,
      time_impossible: 4,
    },
    dropped: 0,
    broker_oversize: 1,
    broker_denied: 2,
    broker_refused_sign_ins: 4,
    sequence_gaps: 2,
    rebirths_requested: 3,
    queue_fill: 0.03,
    store_ok: true,
    broker_ok: true,
    rules_in_force: "version 1 (0123456789ab)",
    rules_trouble: null,
    rules_refused: 0,
  };
}

function send(event: string, body: unknown): void {
  eventId++;
  for (const stream of streams)
    stream.write(`id: ${eventId}\nevent: ${event}\ndata: ${JSON.stringify(body)}\n\n`);
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? "/", "http://localhost");
  const path = url.pathname.split("/").filter(Boolean).slice(1);
  const number = (name: string): number => Number(url.searchParams.get(name) ?? 0);
  const reply = (status: number, body: unknown): void => {
    response.writeHead(status, { "Content-Type": "application/json" });
    response.end(JSON.stringify(body));
  };
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const body = (chunks.length > 0 ? JSON.parse(Buffer.concat(chunks).toString()) : {}) as Record<
    string,
    string
  >;
  const now = Date.now();

  if (path[0] === "session" || path[0] === "claim") {
    if (request.method === "POST" && body["password"] === "wrong") return reply(401, { detail: "No." });
    signedIn = request.method === "POST";
    return reply(200, {});
  }
  if (!signedIn) return reply(401, { detail: "Not signed in." });
  switch (path[0]) {
    case "me":
      return reply(200, { name: "ana", display_name: "Ana Ruiz", role: "administrator", account_id: "a-1" });
    case "board":
      return reply(200, boardOf(now, startMs, [...alerts.values()], intake()));
    case "stream":
      response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
      response.write(`id: ${eventId}\nevent: board\n`);
      response.write(`data: ${JSON.stringify(boardOf(now, startMs, [...alerts.values()], intake()))}\n\n`);
      streams.add(response);
      response.on("close", () => streams.delete(response));
      return;
    case "incidents":
    case "people":
    case "reignition-watches":
      return reply(200, []);
    case "packs": {
      const id = decodeURIComponent(path[1] ?? "");
      const index = PACKS.findIndex((pack) => pack.pack_id === id);
      if (index < 0) return reply(404, { detail: "No such pack." });
      if (path[2] === "series") {
        return reply(200, seriesOf(index, number("from_ms"), number("to_ms"), number("points"), startMs));
      }
      const own = [...alerts.values()].filter((alert) => alert.pack_id === id);
      return reply(200, {
        pack: {
          ...PACKS[index],
          class_assessed_by: "J. Okafor, Midwest Salvage",
          class_criteria: "SAE J3235, visual damage at module 2, insulation 0.4 MOhm",
          class_outcome: "Damaged; liable to produce heat. Packed to P911.",
          capacity_ah: 62,
          series_count: 96,
          max_operating_temperature_c: 60,
          state_of_charge_pct: 28,
          passport_id: null,
          passport_status: null,
          description: "Hatchback pack, rear collision",
        },
        row: rowOf(
          index,
          now,
          startMs,
          own.find((alert) => alert.state !== "closed"),
        ),
        alerts: own,
      });
    }
    case "alerts": {
      const alert = alerts.get(path[1] ?? "");
      if (!alert) return reply(404, { detail: "No such alert." });
      if (path[2] === "events") return reply(200, lives.get(alert.alert_id) ?? []);
      if (Number(body["version"]) !== alert.version)
        return reply(409, { detail: "It changed to another version." });
      if (path[2] === "acknowledge") {
        const comment = body["comment"] ?? null;
        const by = {
          acknowledged_by: "Ana Ruiz",
          acknowledged_at_ms: now,
          acknowledgement_comment: comment,
          acknowledged_roles: ["dispatcher"],
        };
        return reply(200, change(alert, { state: "acknowledged", ...by }, "acknowledge", comment));
      }
      const reason = body["reason"] ?? "";
      const by = { closed_by: "Ana Ruiz", closed_at_ms: now, close_reason: reason };
      return reply(200, change(alert, { state: "closed", ...by }, "close", reason));
    }
    case "quarantine": {
      const offset = number("offset");
      const entries = Array.from({ length: Math.min(number("limit"), 61 - offset) }, (_, i) => ({
        id: 61 - offset - i,
        received_at_ms: now - (offset + i) * 97_000,
        reason: Object.keys(intake().refused_by_reason)[(offset + i) % 5],
        detail: "array Samples/Temperature has 47 values, not 6 rows of 8 channels",
        topic: "spBv1.0/midwest/DDATA/GW-1/U-1004",
        fleet_id: "midwest",
        gateway_id: "GW-1",
        unit_id: "U-1004",
        payload_size: 1834,
        payload_preview_hex: "08a1f6c2d9f93212150a0f53616d706c65732f54696d6518c0012a00ff00deadbeef",
      }));
      return reply(200, { entries, counts: intake().refused_by_reason, total: 61 });
    }
    default:
      return reply(404, { detail: "Not found." });
  }
}
