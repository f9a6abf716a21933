// Runs before the first paint, so that a page set to dark never flashes white at night.
// A file of its own because the pages' content security policy forbids inline scripts.
try {
  const theme = localStorage.getItem("packwatch.theme");
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
} catch {
  // Storage is forbidden in this browser: the system's setting holds.
}
