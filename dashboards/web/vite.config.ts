import { svelte, vitePreprocess } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

import { mockApi } from "./dev/mock.ts";

export default defineConfig({
  plugins: [svelte({ configFile: false, preprocess: vitePreprocess() }), mockApi()],
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
  },
  test: {
    include: ["tests/**/*.test.ts"],
    environment: "node",
  },
});
