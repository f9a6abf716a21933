import { describe, expect, test } from "vitest";

import { hexLines, refusalWords } from "../src/core/refusals";
import { claimToken, packPath, parseRoute, pathAfterSignIn } from "../src/core/routes";

test.each([
  ["/", { page: "board" }],
  ["/packs/P-1", { page: "pack", packId: "P-1" }],
  ["/packs/unit%3AU-7", { page: "pack", packId: "unit:U-7" }],
  ["/packs", { page: "unknown" }],
  ["/packs/P-1/more", { page: "unknown" }],
  ["/packs/%E0%A4%A", { page: "unknown" }],
  ["/emergency/a1b2", { page: "emergency", alertId: "a1b2" }],
  ["/emergency/a%20b", { page: "unknown" }],
  ["/review", { page: "reviews" }],
  ["/review/i-1", { page: "review", incidentId: "i-1" }],
  ["/review/i%201", { page: "unknown" }],
  ["/drivers", { page: "drivers" }],
  ["/devices", { page: "devices" }],
  ["/people", { page: "people" }],
  ["/intake", { page: "intake" }],
  ["/search", { page: "search" }],
  ["/sign-in", { page: "sign-in" }],
  ["/claim", { page: "claim" }],
  ["/elsewhere", { page: "unknown" }],
])("%s leads to its page", (path, route) => {
  expect(parseRoute(path)).toEqual(route);
});

test("a pack's path leads back to the pack", () => {
  expect(parseRoute(packPath("unit:U-7"))).toEqual({ page: "pack", packId: "unit:U-7" });
});

describe("after the sign-in", () => {
  test.each([
    ["to where one wanted to go", "?next=%2Fpacks%2FP-1", "/packs/P-1"],
    ["to the board by default", "", "/"],
    ["never to another site", "?next=%2F%2Fevil.example", "/"],
    ["never to another site by a backslash", "?next=%2F%5Cevil.example", "/"],
    ["never to another scheme", "?next=javascript%3Aalert(1)", "/"],
  ])("%s", (_, search, path) => {
    expect(pathAfterSignIn(search)).toBe(path);
  });
});

test("a claim's token is found in the query or the fragment", () => {
  expect(claimToken("?token=abc", "")).toBe("abc");
  expect(claimToken("", "#abc")).toBe("abc");
  expect(claimToken("", "#token=abc")).toBe("abc");
  expect(claimToken("", "")).toBeNull();
});

test("refusals in words, and an unknown one as it came", () => {
  expect(refusalWords("birth_missing")).toBe("data before its birth certificate");
  expect(refusalWords("brand_new_reason")).toBe("brand new reason");
});

test("bytes sixteen a line, with what can be printed", () => {
  expect(hexLines("48656c6c6f00ff")).toEqual([`0000  48 65 6c 6c 6f 00 ff${" ".repeat(27)}  Hello··`]);
  expect(hexLines("")).toEqual([]);
  expect(hexLines("00".repeat(17)).length).toBe(2);
});
