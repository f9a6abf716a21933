import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

import { svelte, vitePreprocess } from "@sveltejs/vite-plugin-svelte";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

import { mockApi } from "./dev/mock.ts";

/** The outlines of US counties, by which the service tells whose 911 centre a place belongs to. */
function counties(): Plugin {
  return {
    name: "packwatch-counties",
    generateBundle() {
      const path = createRequire(import.meta.url).resolve("us-atlas/counties-10m.json");
      this.emitFile({ type: "asset", fileName: "us-counties.json", source: readFileSync(path) });
    },
  };
}

export default defineConfig({
  plugins: [svelte({ configFile: false, preprocess: vitePreprocess() }), mockApi(), counties()],
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
