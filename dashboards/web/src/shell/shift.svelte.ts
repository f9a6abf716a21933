/** Shifts that wait for an answer: this person's, or somebody else's. */

import type { Shift } from "../core/shift";
import { api, sentenceOf } from "./api";

/** Assumed: offers come by no stream, and nobody answers one within seconds. */
const LOOK_MS = 15_000;
/** The board's rows come first. */
const AFTER_ROWS_MS = 1_000;

class Shifts {
  all: readonly Shift[] = $state.raw([]);
  trouble = $state("");

  start(): () => void {
    const soon = setTimeout(() => void this.look(), AFTER_ROWS_MS);
    const timer = setInterval(() => void this.look(), LOOK_MS);
    return () => {
      clearTimeout(soon);
      clearInterval(timer);
    };
  }

  async look(): Promise<void> {
    try {
      this.all = await api.shifts();
    } catch {
      // The bar of the lost connection says it.
    }
  }

  /** Whether it was kept. */
  async step(doing: Promise<Shift>): Promise<boolean> {
    try {
      await doing;
      this.trouble = "";
      return true;
    } catch (error) {
      this.trouble = `Not done: ${sentenceOf(error)}`;
      return false;
    } finally {
      await this.look();
    }
  }
}

export const shifts = new Shifts();
