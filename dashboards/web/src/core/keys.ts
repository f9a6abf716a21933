/** What each key does. One key, no modifier, and never while somebody writes. */

export interface KeyMeaning {
  readonly key: string;
  readonly does: string;
  readonly where: "everywhere" | "board" | "open alert";
}

export const KEYS: readonly KeyMeaning[] = [
  { key: "n", does: "open the next alarm", where: "everywhere" },
  { key: "b", does: "back to the board", where: "everywhere" },
  { key: "?", does: "show these keys", where: "everywhere" },
  { key: "/", does: "find a pack or vehicle", where: "board" },
  { key: "j", does: "next row", where: "board" },
  { key: "k", does: "row before", where: "board" },
  { key: "Enter", does: "open the row: its alarm, else its pack", where: "board" },
  { key: "w", does: "wall screen on or off", where: "board" },
  { key: "s", does: "hand over the shift", where: "board" },
  { key: "a", does: "acknowledge (then Ctrl+Enter sends)", where: "open alert" },
  { key: "c", does: "call who is to be called next", where: "open alert" },
  { key: "1", does: "the call was answered", where: "open alert" },
  { key: "2", does: "no answer", where: "open alert" },
  { key: "3", does: "left a message", where: "open alert" },
  { key: "p", does: "write the place as told", where: "open alert" },
  { key: "t", does: "take the incident on", where: "open alert" },
  { key: "h", does: "hand it over", where: "open alert" },
  { key: "m", does: "write what was done", where: "open alert" },
];

/** The alarm to open next: the most urgent after the open one, and from the last one back to the first. */
export function nextAlarm(waiting: readonly string[], open: string | null): string | null {
  const at = open === null ? -1 : waiting.indexOf(open);
  return waiting[(at + 1) % Math.max(1, waiting.length)] ?? null;
}
