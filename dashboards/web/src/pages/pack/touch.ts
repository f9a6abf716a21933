/** Two fingers zoom a chart, one finger drawn sideways moves it; drawn up or down it scrolls the page as ever. */

import { type Window, panned, scaled } from "../../core/timerange";

export interface TouchHost {
  readonly window: () => Window;
  readonly nowMs: () => number;
  /** Called as the fingers move. */
  readonly onmove: (window: Window) => void;
  /** Called when the last finger is lifted: the time to ask for finer buckets. */
  readonly onend: (window: Window) => void;
}

/** The window after fingers moved from one place to another; places are shares of the chart's width. */
export function touched(
  start: Window,
  from: readonly number[],
  to: readonly number[],
  nowMs: number,
): Window {
  const [a0, b0] = from;
  const [a1, b1] = to;
  if (a0 === undefined || a1 === undefined) return start;
  if (b0 === undefined || b1 === undefined) return panned(start, a0 - a1, nowMs);
  const apart = Math.abs(b1 - a1);
  const factor = Math.abs(b0 - a0) / Math.max(apart, 0.02);
  const zoomed = scaled(start, factor, (a0 + b0) / 2);
  return panned(zoomed, (a0 + b0) / 2 - (a1 + b1) / 2, nowMs);
}

/** Listens on a box until the returned function is called. */
export function listenForTouch(box: HTMLElement, host: TouchHost): () => void {
  const fingers = new Map<number, number>();
  let startPlaces: number[] = [];
  let start: Window | null = null;
  let moved: Window | null = null;

  const place = (event: PointerEvent): number => {
    const { left, width } = box.getBoundingClientRect();
    return (event.clientX - left) / Math.max(1, width);
  };
  const begin = (): void => {
    start = fingers.size > 0 ? (moved ?? host.window()) : null;
    startPlaces = [...fingers.values()];
  };
  const down = (event: PointerEvent): void => {
    if (event.pointerType !== "touch" || fingers.size >= 2) return;
    fingers.set(event.pointerId, place(event));
    begin();
  };
  const move = (event: PointerEvent): void => {
    if (start === null || !fingers.has(event.pointerId)) return;
    fingers.set(event.pointerId, place(event));
    const places = [...fingers.values()];
    if (moved === null && places.every((x, i) => Math.abs(x - (startPlaces[i] ?? x)) < 0.015)) return;
    moved = touched(start, startPlaces, places, host.nowMs());
    host.onmove(moved);
  };
  const up = (event: PointerEvent): void => {
    if (!fingers.delete(event.pointerId)) return;
    begin();
    if (fingers.size > 0 || moved === null) return;
    host.onend(moved);
    moved = null;
  };
  box.addEventListener("pointerdown", down);
  box.addEventListener("pointermove", move);
  box.addEventListener("pointerup", up);
  box.addEventListener("pointercancel", up);
  return () => {
    box.removeEventListener("pointerdown", down);
    box.removeEventListener("pointermove", move);
    box.removeEventListener("pointerup", up);
    box.removeEventListener("pointercancel", up);
  };
}
