import { describe, expect, test } from "vitest";

import { parseDrillLink } from "../src/drill/words";

const ID = "0123456789abcdef0123456789abcdef";

describe("the link of a drill", () => {
  test.each([
    [`#es.${ID}.abc_-1`, "es", { id: ID, token: "abc_-1" }],
    [`#xx.${ID}.abc`, "en", { id: ID, token: "abc" }],
    [`#fr.${ID}`, "fr", null],
    [`#en.${ID.toUpperCase()}.abc`, "en", null],
    [`#en.../../x.abc`, "en", null],
    ["", "en", null],
  ])("%s", (hash, language, message) => {
    const link = parseDrillLink(hash);
    expect([link.language, link.message]).toEqual([language, message]);
    expect(Object.values(link.words).every((text) => text.length > 0)).toBe(true);
  });
});
