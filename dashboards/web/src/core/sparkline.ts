/** The points of a sparkline. */

/** A full line is ten minutes of 10 s steps; a younger one begins further right. */
const STEPS = 60;
/** Less than this from bottom to top is flat: a sensor's noise must not look like a mountain. */
const FLATTEST_C = 4;

/** Polyline points per unbroken run of values, in a box of the given size; a lone value becomes a short stroke. */
export function sparkPaths(
  values: readonly (number | null)[],
  width: number,
  height: number,
): { readonly lines: readonly string[] } {
  const measured = values.filter((value) => value !== null);
  if (measured.length === 0) return { lines: [] };
  const low = Math.min(...measured);
  const high = Math.max(...measured);
  const span = Math.max(FLATTEST_C, high - low);
  const bottom = (low + high) / 2 - span / 2;
  const step = width / (Math.max(STEPS, values.length) - 1);
  const first = width - step * (values.length - 1);
  const margin = 2;

  const lines: string[] = [];
  let run: string[] = [];
  const end = (): void => {
    if (run.length === 1) run.push(run[0]!.replace(/^[\d.]+/, (x) => (Number(x) - step / 2).toFixed(1)));
    if (run.length > 0) lines.push(run.join(" "));
    run = [];
  };
  values.forEach((value, i) => {
    if (value === null) {
      end();
      return;
    }
    const y = height - margin - ((value - bottom) / span) * (height - 2 * margin);
    run.push(`${(first + i * step).toFixed(1)},${y.toFixed(1)}`);
  });
  end();
  return { lines };
}
