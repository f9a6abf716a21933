/** The pages by their paths. */

export type Route =
  | { readonly page: "board" }
  | { readonly page: "pack"; readonly packId: string }
  | { readonly page: "emergency"; readonly alertId: string }
  | { readonly page: "alert"; readonly alertId: string }
  | { readonly page: "review"; readonly incidentId: string }
  | { readonly page: "reviews" }
  | { readonly page: "drivers" }
  | { readonly page: "devices" }
  | { readonly page: "people" }
  | { readonly page: "intake" }
  | { readonly page: "search" }
  | { readonly page: "sign-in" }
  | { readonly page: "claim" }
  | { readonly page: "unknown" };

export function parseRoute(path: string): Route {
  const parts = path.split("/").filter((part) => part !== "");
  const [first, second] = parts;
  if (first === undefined) return { page: "board" };
  if (first === "packs" && second !== undefined && parts.length === 2) {
    try {
      return { page: "pack", packId: decodeURIComponent(second) };
    } catch {
      return { page: "unknown" };
    }
  }
  if ((first === "emergency" || first === "alerts") && second !== undefined && parts.length === 2)
    return /^[A-Za-z0-9_-]{1,64}$/.test(second)
      ? { page: first === "alerts" ? "alert" : first, alertId: second }
      : { page: "unknown" };
  if (first === "review" && second !== undefined && parts.length === 2)
    return /^[A-Za-z0-9_-]{1,64}$/.test(second)
      ? { page: "review", incidentId: second }
      : { page: "unknown" };
  if (parts.length > 1) return { page: "unknown" };
  if (first === "review") return { page: "reviews" };
  if (
    first === "drivers" ||
    first === "search" ||
    first === "devices" ||
    first === "people" ||
    first === "intake" ||
    first === "sign-in" ||
    first === "claim"
  )
    return { page: first };
  return { page: "unknown" };
}

export function packPath(packId: string): string {
  return `/packs/${encodeURIComponent(packId)}`;
}

/** The alert's own page: the critical minute. */
export function alertPath(alertId: string): string {
  return `/alerts/${encodeURIComponent(alertId)}`;
}

/** What happened in an incident, and what was made of it. */
export function reviewPath(incidentId: string): string {
  return `/review/${encodeURIComponent(incidentId)}`;
}

export function emergencyPath(alertId: string): string {
  return `/emergency/${encodeURIComponent(alertId)}`;
}

/** Where to go after signing in: a path of this site, or the board. Another site's address is not followed. */
export function pathAfterSignIn(search: string): string {
  const next = new URLSearchParams(search).get("next");
  return next !== null && /^\/(?![/\\])/.test(next) ? next : "/";
}

/** The one-time token of a claim link, from the query or the fragment (`/claim?token=...`, `/claim#...`). */
export function claimToken(search: string, hash: string): string | null {
  const query = new URLSearchParams(search).get("token");
  const fragment = hash.replace(/^#/, "").replace(/^token=/, "");
  return query ?? (fragment === "" ? null : fragment);
}
