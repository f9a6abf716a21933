/** One pack's history over a stretch of time that a person chose: asked for at the fineness that can be seen. */

import type { PackJudgement, PackSeries } from "../../core/contract";
import { measuredSpan } from "../../core/series";
import { type TimeRange, type Window, rangeOf, refreshMs, windowOf } from "../../core/timerange";
import { api, isAbort, sentenceOf } from "../../shell/api";
import { clock } from "../../shell/clock.svelte";

export const FIRST_SPAN_MS = 15 * 60_000;
/** "All" begins at the epoch and comes nearer with each answer; a few bucket widths narrow 56 years to one pack's. */
const NARROWINGS = 5;
const NARROWING_POINTS = 500;
/** Judging costs the service a millisecond or two a point. */
const JUDGED_POINTS = 400;
/** How often what follows live is judged again. */
const JUDGE_EVERY_MS = 30_000;

export class History {
  range: TimeRange = $state.raw({ kind: "follow", span_ms: FIRST_SPAN_MS });
  /** Where a reset leads: the range that was last chosen by name. */
  home: TimeRange = $state.raw({ kind: "follow", span_ms: FIRST_SPAN_MS });
  /** The range that "all" led to. */
  everything: TimeRange | null = $state.raw(null);
  /** The range that "trip" led to. */
  trip: TimeRange | null = $state.raw(null);
  /** Where fingers are moving the charts; nothing is asked for until they are lifted. */
  gliding: Window | null = $state.raw(null);
  series: PackSeries | null = $state.raw(null);
  judgement: PackJudgement | null = $state.raw(null);
  /** A person wants to see what is expected of each probe. */
  judged = $state(false);
  /** The pack beside which this one is drawn; null: none. */
  neighbour: string | null = $state(null);
  neighbourSeries: PackSeries | null = $state.raw(null);
  problem = $state("");
  /** Buckets to ask for: about one a pixel. */
  points = $state(800);
  readonly window = $derived(this.gliding ?? windowOf(this.range, clock.nowMs));

  constructor(private readonly packId: string) {}

  /** Asks whenever range or fineness change, and again and again while it follows; to be called in an effect. */
  watch(): () => void {
    const { range, points } = this;
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = async (): Promise<void> => {
      const { from_ms, to_ms } = windowOf(range, clock.preciseMs());
      try {
        this.series = await api.series(this.packId, from_ms, to_ms, points, stop.signal);
        this.problem = "";
      } catch (error) {
        if (isAbort(error)) return;
        this.problem = sentenceOf(error);
      }
      if (range.kind === "follow") timer = setTimeout(() => void ask(), refreshMs(range.span_ms, points));
    };
    void ask();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }

  /** Judges, as long as that is wanted; to be called in an effect. */
  watchJudgement(): () => void {
    if (!this.judged) {
      this.judgement = null;
      return () => undefined;
    }
    return this.#again(JUDGE_EVERY_MS, async ({ from_ms, to_ms }, signal) => {
      this.judgement = await api.judgement(this.packId, from_ms, to_ms, JUDGED_POINTS, signal);
    });
  }

  /** Reads the neighbour, if one is chosen; to be called in an effect. */
  watchNeighbour(): () => void {
    const { neighbour, points } = this;
    this.neighbourSeries = null;
    if (neighbour === null) return () => undefined;
    return this.#again(10_000, async ({ from_ms, to_ms }, signal) => {
      this.neighbourSeries = await api.series(neighbour, from_ms, to_ms, points, signal);
    });
  }

  #again(every_ms: number, ask: (window: Window, signal: AbortSignal) => Promise<void>): () => void {
    const { range } = this;
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const once = async (): Promise<void> => {
      try {
        await ask(windowOf(range, clock.preciseMs()), stop.signal);
      } catch (error) {
        if (isAbort(error)) return;
        this.problem = sentenceOf(error);
      }
      if (range.kind === "follow" && !stop.signal.aborted) timer = setTimeout(() => void once(), every_ms);
    };
    void once();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }

  /** Everything since the pack's newest trip began; while the trip lasts it follows. */
  async followTrip(): Promise<void> {
    try {
      const trip = (await api.tripsOfPack(this.packId))[0];
      if (trip === undefined) {
        this.problem = "No trip is known of this pack.";
        return;
      }
      const window = { from_ms: trip.opened_at_ms, to_ms: trip.closed_at_ms ?? clock.preciseMs() };
      this.show(window);
      this.home = this.trip = this.range;
    } catch (error) {
      this.problem = sentenceOf(error);
    }
  }

  follow(span_ms: number): void {
    this.home = this.range = { kind: "follow", span_ms };
  }

  async followAll(): Promise<void> {
    try {
      const from_ms = await this.#beginning();
      if (from_ms === null) return;
      this.follow((clock.preciseMs() - from_ms) * 1.02);
      this.everything = this.range;
    } catch (error) {
      this.problem = sentenceOf(error);
    }
  }

  show(window: Window): void {
    this.gliding = null;
    this.range = rangeOf(window, clock.preciseMs());
  }

  reset(): void {
    this.range = this.home;
  }

  /** When the first sample was taken, to within a bucket; null when nothing is stored. */
  async #beginning(): Promise<number | null> {
    let from_ms = 0;
    for (let i = 0; i < NARROWINGS; i++) {
      const now = clock.preciseMs();
      const coarse = await api.series(this.packId, from_ms, now, NARROWING_POINTS);
      const span = measuredSpan(coarse);
      if (span === null) return null;
      if (coarse.raw) return span.from_ms;
      // A bucket's time may be its middle or its end: one bucket earlier loses nothing.
      const before = Math.max(from_ms, span.from_ms - (now - from_ms) / NARROWING_POINTS);
      const settled = before - from_ms < 0.1 * (now - from_ms);
      from_ms = before;
      if (settled) break;
    }
    return from_ms;
  }
}
