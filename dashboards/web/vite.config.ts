import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

import { svelte, vitePreprocess } from "@sveltejs/vite-plugin-svelte";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

import { mockApi } from "./dev/mock.ts";

/** Outlines beside the pages: the service tells by counties whose 911 centre a place belongs to; the map draws the others. */
const ATLASES = {
  "us-counties.json": "us-atlas/counties-10m.json",
  "map-states.json": "us-atlas/states-10m.json",
  "map-countries.json": "world-atlas/countries-50m.json",
};

function atlases(): Plugin {
  return {
    name: "packwatch-atlases",
    generateBundle() {
      for (const [fileName, source] of Object.entries(ATLASES)) {
        const path = createRequire(import.meta.url).resolve(source);
        this.emitFile({ type: "asset", fileName, source: readFileSync(path) });
      }
    },
  };
}

export default defineConfig({
  plugins: [svelte({ configFile: false, preprocess: vitePreprocess() }), mockApi(), atlases()],
  build: {
    outDir: "../static",
    // The folder lies outside the project root, where Vite asks before it empties.
    emptyOutDir: true,
    target: "es2022",
    // The first browsers with light-dark(), which carries both themes.
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    // The pages' content security policy allows no data: addresses and no inline script.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      input: {
        index: "index.html",
        driver: "driver.html",
        sheet: "sheet.html",
        drill: "drill.html",
        "trip-worker": "src/driver/worker.ts",
      },
      output: {
        // A service worker keeps its name, by which browsers ask for its next version.
        entryFileNames: (chunk) => (chunk.name === "trip-worker" ? "[name].js" : "assets/[name]-[hash].js"),
      },
    },
  },
  test: {
    include: ["tests/**/*.test.ts"],
    environment: "node",
  },
});
