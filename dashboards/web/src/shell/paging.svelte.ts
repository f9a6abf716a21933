/** Whether people would be paged, and this screen's share: it says that it sounds, and shows what its person is paged with. */

import { api } from "./api";
import { sound } from "./sound.svelte";

const LOOK_MS = 30_000;
/** The service counts a board as heard for 30 s. */
const BEAT_MS = 10_000;

export interface PagingState {
  anybody: boolean;
  gaps: { role: string; fleet_id: string; from_ms: number; until_ms: number }[];
  unreachable: { recipient_id: string; why: string }[];
  /** On duty, and paged on a board that nobody would hear. */
  silent_boards: { recipient_id: string; why: string }[];
  notices: Record<string, string[]>;
}

class Paging {
  /** null until the service has said. */
  state = $state<PagingState | null>(null);

  start(): () => void {
    const boardId = crypto.getRandomValues(new Uint32Array(2)).join("-");
    const look = (): void => void this.#look();
    const beat = (): void => void this.#beat(boardId);
    look();
    beat();
    const timers = [setInterval(look, LOOK_MS), setInterval(beat, BEAT_MS)];
    return () => timers.forEach(clearInterval);
  }

  async #look(): Promise<void> {
    try {
      this.state = await api.paging();
    } catch {
      // the bar of the lost connection says it
    }
  }

  async #beat(boardId: string): Promise<void> {
    try {
      const waiting = await api.boardBeat(boardId, sound.armed);
      for (const message of new Set(waiting.map((page) => page.message_id))) await api.boardShown(message);
    } catch {
      // a board that is not heard of counts as one that does not sound
    }
  }
}

export const paging = new Paging();
