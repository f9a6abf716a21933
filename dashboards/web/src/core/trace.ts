/** A short chart of one value: what an SVG needs, with holes where nothing was measured. Pure. */

export interface Trace {
  /** SVG path, one piece an unbroken run. */
  readonly path: string;
  /** The value axis, bottom and top. */
  readonly low: number;
  readonly high: number;
}

/** Less than this from bottom to top is flat: a sensor's noise must not look like a mountain. */
const FLATTEST_C = 6;

/**
 * The highest of all channels over time, in a box of `width` by `height` from `fromMs` to `toMs`. null: nothing measured.
 * A step of more than three buckets without a value is a hole.
 */
export function traceOf(
  times_ms: readonly number[],
  channels: readonly (readonly (number | null)[])[],
  box: { readonly fromMs: number; readonly toMs: number; readonly width: number; readonly height: number },
): Trace | null {
  const points = times_ms.flatMap((at, i) => {
    const values = channels.map((channel) => channel[i] ?? null).filter((value) => value !== null);
    return values.length === 0 ? [] : [{ at, value: Math.max(...values) }];
  });
  if (points.length === 0) return null;
  const values = points.map((point) => point.value);
  const middle = (Math.min(...values) + Math.max(...values)) / 2;
  const half = Math.max(FLATTEST_C, Math.max(...values) - Math.min(...values)) / 2;
  const [low, high] = [middle - half, middle + half];
  const steps = points.slice(1).map((point, i) => point.at - points[i]!.at);
  const usual = steps.toSorted((a, b) => a - b)[Math.floor(steps.length / 2)] ?? 0;
  const path = points.map(({ at, value }, i) => {
    const x = ((at - box.fromMs) / (box.toMs - box.fromMs)) * box.width;
    const y = box.height - ((value - low) / (high - low)) * box.height;
    const hole = i === 0 || at - points[i - 1]!.at > 3 * usual;
    return `${hole ? "M" : "L"}${x.toFixed(1)} ${y.toFixed(1)}`;
  });
  return { path: path.join(""), low, high };
}
