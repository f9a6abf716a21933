/** Reviews and time lines as the service tells them. Times are ms UTC. */

import type { Level, PackSeries } from "../../core/contract";

export const KINDS = [
  "level",
  "alert",
  "incident",
  "delivery",
  "health",
  "custody",
  "duty",
  "review",
  "rules",
] as const;
export type ItemKind = (typeof KINDS)[number];

export const CAUSES = [
  "cell defect",
  "mechanical damage",
  "electrical abuse",
  "external heat",
  "water",
  "instrument",
  "false alarm",
  "undetermined",
] as const;
export type Cause = (typeof CAUSES)[number];

export type EntryKind = "annotation" | "finding" | "corrective action";

export interface Item {
  readonly at_ms: number;
  readonly kind: ItemKind;
  readonly what: string;
  readonly subject: string;
  readonly pack_id: string | null;
  readonly level: Level | null;
  readonly actor: string | null;
  readonly role: string | null;
  readonly text: string;
  readonly source: string;
}

export interface Fix {
  readonly gateway_id: string;
  readonly at_ms: number;
  readonly latitude_deg: number;
  readonly longitude_deg: number;
  readonly speed_m_s: number | null;
}

export interface Timeline {
  readonly incident_id: string;
  readonly title: string;
  readonly provenance: string;
  readonly first_ms: number;
  readonly last_ms: number;
  readonly from_ms: number;
  readonly to_ms: number;
  readonly packs: readonly string[];
  readonly items: readonly Item[];
  /** The `after` of the next page; null: there is none. */
  readonly more_after: number | null;
  readonly series: Readonly<Record<string, PackSeries>>;
  readonly positions: readonly Fix[];
}

export interface Entry {
  readonly entry_id: string;
  readonly kind: EntryKind;
  readonly text: string;
  readonly at_ms: number | null;
  readonly pack_id: string | null;
  readonly probe: number | null;
  readonly owner_id: string | null;
  readonly owner: string | null;
  readonly due_at_ms: number | null;
  readonly done_at_ms: number | null;
  readonly done_by: string | null;
  readonly written_by: string;
  readonly written_at_ms: number;
  readonly version: number;
}

export interface EntryDraft {
  readonly kind: EntryKind;
  readonly text: string;
  readonly at_ms?: number | null;
  readonly pack_id?: string | null;
  readonly probe?: number | null;
  readonly owner_id?: string | null;
  readonly due_at_ms?: number | null;
  readonly done?: boolean;
  readonly version?: number;
}

export interface Change {
  readonly at_ms: number;
  readonly level: Level;
  readonly reasons: readonly string[];
}

export interface Rerun {
  readonly rerun_id: string;
  readonly at_ms: number;
  readonly by: string;
  readonly rules_version: number;
  readonly rules_hash: string;
  readonly from_ms: number;
  readonly to_ms: number;
  readonly outcome: {
    readonly samples: number;
    readonly packs: Readonly<
      Record<
        string,
        {
          readonly samples: number;
          readonly changes: readonly Change[];
          readonly changes_in_all: number;
          readonly was: readonly Change[];
        }
      >
    >;
  };
}

export interface Attachment {
  readonly sha256: string;
  readonly name: string;
  readonly media_type: string;
  readonly size: number;
  readonly added_by: string;
  readonly added_at_ms: number;
}

export interface Review {
  readonly incident_id: string;
  readonly state: "open" | "signed once" | "closed";
  readonly cause: Cause | null;
  readonly cause_note: string;
  readonly signed_by: string | null;
  readonly signed_by_you: boolean;
  readonly signed_at_ms: number | null;
  readonly countersigned_by: string | null;
  readonly countersigned_at_ms: number | null;
  readonly version: number;
  readonly entries: readonly Entry[];
  readonly attachments: readonly Attachment[];
  readonly reruns: readonly Rerun[];
  /** Whoever looks may annotate and attach; and find and sign. */
  readonly may_write: boolean;
  readonly may_sign: boolean;
}
