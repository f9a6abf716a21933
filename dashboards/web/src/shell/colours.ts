/** The page's colours for canvases, which cannot read custom properties themselves. */

/** Resolves CSS colours as the current theme has them, "rgb(r, g, b)". */
export function resolvedColours<Name extends string>(names: readonly Name[]): Record<Name, string> {
  const probe = document.createElement("span");
  document.body.append(probe);
  const colours = {} as Record<Name, string>;
  for (const name of names) {
    probe.style.color = `var(--${name})`;
    colours[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  return colours;
}
