/** The critical minute of one alert, asked for again whenever the alert changes, after each own step, and now and then. */

import type { CriticalMinute } from "../../core/minute";
import { api, isAbort, sentenceOf } from "../../shell/api";

/** Assumed: calls and receipts of others come by no stream, and positions change the county. */
export const RENEW_EVERY_MS = 5_000;

export class Minute {
  told = $state.raw<CriticalMinute | null>(null);
  trouble = $state("");
  #asking: AbortController | null = null;

  constructor(private readonly alertId: string) {}

  start(): () => void {
    void this.ask();
    const timer = setInterval(() => void this.ask(), RENEW_EVERY_MS);
    return () => {
      clearInterval(timer);
      this.#asking?.abort();
    };
  }

  async ask(): Promise<void> {
    this.#asking?.abort();
    const asking = (this.#asking = new AbortController());
    try {
      this.told = await api.minute(this.alertId, asking.signal);
      this.trouble = "";
    } catch (error) {
      if (!isAbort(error)) this.trouble = sentenceOf(error);
    }
  }

  /** A step of this person's; whether it was kept. */
  async step(doing: Promise<unknown>): Promise<boolean> {
    try {
      await doing;
    } catch (error) {
      this.trouble = `Not kept: ${sentenceOf(error)}`;
      return false;
    }
    await this.ask();
    return true;
  }
}
