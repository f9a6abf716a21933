/** Which rows of a long list are in sight. All rows are equally high. */

export interface Stretch {
  readonly first: number;
  /** Not included. */
  readonly end: number;
}

/** So many rows beyond each edge: a quick scroll shows no hole. */
const MARGIN = 8;

/** top: of the list, px below the window's upper edge (negative once scrolled). */
export function rowsInSight(count: number, rowHeight: number, top: number, windowHeight: number): Stretch {
  if (rowHeight <= 0) return { first: 0, end: Math.min(count, 30) };
  const first = Math.max(0, Math.floor(-top / rowHeight) - MARGIN);
  const end = Math.min(count, Math.ceil((windowHeight - top) / rowHeight) + MARGIN);
  return { first: Math.min(first, Math.max(0, count - 1)), end: Math.max(end, Math.min(count, 1)) };
}
