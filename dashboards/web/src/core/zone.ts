/** Times in the viewer's zone, always on a 24-hour clock, with the zone named. */

const clock = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});
const day = new Intl.DateTimeFormat("en-CA", { year: "numeric", month: "2-digit", day: "2-digit" });

/** "14:02:11". */
export function clockWords(ms: number): string {
  return clock.format(ms);
}

/** "2026-03-04 14:02:11"; the day is left out when it is that of `nowMs`. */
export function momentWords(ms: number, nowMs?: number): string {
  const date = day.format(ms);
  return nowMs !== undefined && day.format(nowMs) === date ? clock.format(ms) : `${date} ${clock.format(ms)}`;
}

/** Each of these knows the short names of its own part of the world only: CST, CET, AEST, IST. */
const NAMING_LOCALES = ["en-US", "en-GB", "en-AU", "en-IN"] as const;

/** "CDT, America/Chicago" at the given time; the offset stands in where the zone has no name of its own. */
export function zoneWords(ms: number, place = new Intl.DateTimeFormat().resolvedOptions().timeZone): string {
  const names = NAMING_LOCALES.map(
    (locale) =>
      new Intl.DateTimeFormat(locale, { timeZoneName: "short", timeZone: place })
        .formatToParts(ms)
        .find((part) => part.type === "timeZoneName")?.value ?? "local time",
  );
  const name =
    names.find((candidate) => !/^(GMT|UTC)[+\-\u2212]/.test(candidate)) ?? names[0] ?? "local time";
  return place && place !== name ? `${name}, ${place}` : name;
}
