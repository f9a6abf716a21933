/** The board's view, which lives in the address bar alone. */

import { type BoardView, parseView, viewSearch } from "../../core/boardview";
import { navigation } from "../../shell/navigation.svelte";

class View {
  readonly now: BoardView = $derived(parseView(navigation.search));

  /** Changes stand in the address at once, without a new entry in the history: back leads off the board. */
  change(changes: Partial<BoardView>): void {
    if (navigation.route.page !== "board") return;
    navigation.go(`/${viewSearch({ ...this.now, ...changes })}`, { replace: true });
  }
}

export const view = new View();
