/** Which stretch of time the charts show: one that moves along with now, or one that stands still. */

export type TimeRange =
  | { readonly kind: "follow"; readonly span_ms: number }
  | { readonly kind: "fixed"; readonly from_ms: number; readonly to_ms: number };

export interface Window {
  readonly from_ms: number;
  readonly to_ms: number;
}

/** Below this the samples themselves (1 s apart at their quickest) are too few to draw. */
export const SHORTEST_MS = 10_000;
/** A right edge this close to now, as a share of the stretch, goes on following. */
const EDGE_SHARE = 0.03;

export function windowOf(range: TimeRange, nowMs: number): Window {
  if (range.kind === "fixed") return range;
  return { from_ms: nowMs - range.span_ms, to_ms: nowMs };
}

/** The range for a window that a person chose by dragging, pinching or buttons. */
export function rangeOf(window: Window, nowMs: number): TimeRange {
  const span = Math.max(SHORTEST_MS, window.to_ms - window.from_ms);
  if (window.to_ms >= nowMs - EDGE_SHARE * span) return { kind: "follow", span_ms: span };
  return { kind: "fixed", from_ms: window.to_ms - span, to_ms: window.to_ms };
}

/** Zoomed about a point (0 = left edge, 1 = right edge); a factor below 1 comes nearer. */
export function scaled(window: Window, factor: number, about = 0.5): Window {
  const span = window.to_ms - window.from_ms;
  const wanted = Math.max(SHORTEST_MS, span * factor);
  const from = window.from_ms + (span - wanted) * about;
  return { from_ms: from, to_ms: from + wanted };
}

/** Moved by a share of its length; never past now. */
export function panned(window: Window, share: number, nowMs: number): Window {
  const span = window.to_ms - window.from_ms;
  const to = Math.min(nowMs, window.to_ms + span * share);
  return { from_ms: to - span, to_ms: to };
}

/** How often a following chart asks again: as often as a new point could be seen, between 2 and 30 s. */
export function refreshMs(spanMs: number, points: number): number {
  return Math.min(30_000, Math.max(2_000, spanMs / points));
}
