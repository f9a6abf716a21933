/** The review's part of the service. */

import type { Incident } from "../../core/contract";
import { ApiError, get, post } from "../../shell/api";
import type { Cause, EntryDraft, Review, Timeline } from "./contract";

export const ATTACHMENT_MAX_BYTES = 100 * 1024 * 1024;

/** The list tells of closed ones as well. */
export type PastIncident = Incident & { readonly closed_at_ms: number | null };

const of = (incidentId: string): string => `/api/incidents/${encodeURIComponent(incidentId)}`;

export const reviews = {
  incidents: (): Promise<PastIncident[]> => get("/api/incidents?limit=500"),
  read: (incidentId: string): Promise<Review> => get(`${of(incidentId)}/review`),
  timeline: (incidentId: string, query: Record<string, number>, signal?: AbortSignal): Promise<Timeline> =>
    get(
      `${of(incidentId)}/timeline?${new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)]))}`,
      signal,
    ),
  classify: (incidentId: string, version: number, cause: Cause | null, note: string): Promise<Review> =>
    post(`${of(incidentId)}/review/cause`, { version, cause, note }),
  write: (incidentId: string, entryId: string | null, draft: EntryDraft): Promise<Review> =>
    post(`${of(incidentId)}/review/entries${entryId === null ? "" : `/${entryId}`}`, draft),
  remove: (incidentId: string, entryId: string, version: number): Promise<Review> =>
    post(`${of(incidentId)}/review/entries/${entryId}/remove`, { version }),
  sign: (incidentId: string, version: number): Promise<Review> =>
    post(`${of(incidentId)}/review/sign`, { version }),
  reopen: (incidentId: string, version: number, reason: string): Promise<Review> =>
    post(`${of(incidentId)}/review/reopen`, { version, reason }),
  rerun: (incidentId: string, rules: string | null): Promise<Review> =>
    post(`${of(incidentId)}/reruns`, rules === null ? {} : { rules }),
  bundlePath: (incidentId: string): string => `${of(incidentId)}/bundle`,
  formPath: (incidentId: string): string => `${of(incidentId)}/form-5800-1`,
  filePath: (incidentId: string, sha256: string): string => `${of(incidentId)}/attachments/${sha256}`,
  /** The file goes as it is: the browser streams it from disk. */
  async attach(incidentId: string, file: File): Promise<Review> {
    if (file.size > ATTACHMENT_MAX_BYTES)
      throw new ApiError(413, `${file.name} is larger than 100 MiB, the most that is kept.`);
    const response = await fetch(
      `${of(incidentId)}/attachments?${new URLSearchParams({ name: file.name })}`,
      {
        method: "POST",
        credentials: "same-origin",
        headers: { "X-Packwatch": "1", "Content-Type": "application/octet-stream" },
        body: file,
      },
    );
    const answer = (await response.json()) as Review & { detail?: string };
    if (!response.ok)
      throw new ApiError(response.status, answer.detail ?? `The service answered ${response.status}.`);
    return answer;
  },
};
