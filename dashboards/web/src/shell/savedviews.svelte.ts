/** Views of the board that somebody named, kept in this browser. */

import { type SavedView, parseSavedViews } from "../core/boardview";

const PLACE = "packwatch.views";

class SavedViews {
  all: readonly SavedView[] = $state.raw(parseSavedViews(kept()));

  save(name: string, search: string): void {
    this.#keep([...this.all.filter((each) => each.name !== name), { name, search }]);
  }

  forget(name: string): void {
    this.#keep(this.all.filter((each) => each.name !== name));
  }

  #keep(views: readonly SavedView[]): void {
    this.all = views;
    try {
      localStorage.setItem(PLACE, JSON.stringify(views));
    } catch {
      // Storage is forbidden in this browser: the views hold until the page is left.
    }
  }
}

function kept(): string | null {
  try {
    return localStorage.getItem(PLACE);
  } catch {
    return null;
  }
}

export const savedViews = new SavedViews();
