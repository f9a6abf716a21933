/** Whether somebody is at work inside an element: the mouse over it, the focus in it, and not long since the last move. */

import { isHeld } from "../core/ranking";
import { clock } from "./clock.svelte";

export class Hold {
  #pointerInside = $state(false);
  #focusInside = $state(false);
  #touchedAtMs = $state(0);
  readonly held = $derived(isHeld(this.#pointerInside || this.#focusInside, this.#touchedAtMs, clock.nowMs));

  /** `onstart` runs just before the hold begins, while the element still shows what it will go on showing. */
  constructor(private readonly onstart: () => void) {}

  /** To be attached to the element. */
  readonly watch = (element: HTMLElement): (() => void) => {
    const touch = (): void => {
      if (!this.held) this.onstart();
      this.#touchedAtMs = clock.preciseMs();
    };
    const listeners: { [Name in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[Name]) => void } = {
      pointermove: (event) => {
        // A finger leaves no hover behind; a touched row holds by its focus.
        if (event.pointerType !== "mouse") return;
        touch();
        this.#pointerInside = true;
      },
      pointerleave: () => (this.#pointerInside = false),
      pointerdown: touch,
      focusin: () => {
        touch();
        this.#focusInside = true;
      },
      focusout: (event) => {
        const inside = element.contains(event.relatedTarget as Node | null);
        // A focused row that is being removed says so in the middle of drawing, when no state may change.
        queueMicrotask(() => (this.#focusInside = inside));
      },
      keydown: touch,
      wheel: touch,
    };
    const stop = new AbortController();
    for (const [name, listener] of Object.entries(listeners)) {
      element.addEventListener(name, listener as EventListener, { signal: stop.signal, passive: true });
    }
    return () => stop.abort();
  };
}
