/** Keys act on what is drawn: an element says by `data-key` which key presses it, and it must be in sight to be pressed. */

/** Listens until the returned function is called. `own`: keys that act on no element; true = it was one. */
export function listenForKeys(own: (key: string) => boolean): () => void {
  const listener = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey) {
      if (event.key === "Enter") sendForm(event);
      return;
    }
    if (event.defaultPrevented || event.altKey || event.repeat || writes(event.target)) return;
    if (document.querySelector("dialog[open]") !== null) return;
    if (own(event.key) || pressed(event.key)) event.preventDefault();
  };
  document.addEventListener("keydown", listener);
  return () => document.removeEventListener("keydown", listener);
}

function writes(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || target.matches("input, textarea, select, summary, [role=slider]"))
  );
}

function sendForm(event: KeyboardEvent): void {
  const field = event.target;
  if (field instanceof HTMLTextAreaElement && field.form !== null) field.form.requestSubmit();
}

/** Only within an open card is a key bound to something that a moving row could take the place of. */
function pressed(key: string): boolean {
  for (const element of document.querySelectorAll<HTMLElement>("[data-open-card] [data-key]")) {
    if (element.dataset["key"] !== key || !element.checkVisibility()) continue;
    if (element instanceof HTMLButtonElement && element.disabled) continue;
    element.focus();
    element.click();
    return true;
  }
  return false;
}
