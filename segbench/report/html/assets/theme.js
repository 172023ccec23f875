"use strict";
// Dark and light: the system's choice until the button is pressed; paper is always light.
(() => {
  const root = document.documentElement;
  const button = Report.find("#theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const KEY = "segbench-theme";

  const remembered = () => {
    try { return localStorage.getItem(KEY); } catch { return null; } // pages from disk may have no storage
  };
  const remember = (theme) => {
    try { localStorage.setItem(KEY, theme); } catch { /* then it lasts as long as the page */ }
  };

  const now = () => root.dataset.theme ?? (system.matches ? "dark" : "light");
  const show = () => {
    button.textContent = now() === "dark" ? "Light" : "Dark";
    button.ariaLabel = `Change to ${now() === "dark" ? "light" : "dark"} colours`;
    Report.repaint();
  };

  button.hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = now() === "dark" ? "light" : "dark";
    remember(root.dataset.theme);
    show();
  });
  system.addEventListener("change", show);

  let before;
  addEventListener("beforeprint", () => {
    before = root.dataset.theme;
    root.dataset.theme = "light";
    Report.all("details").forEach((one) => { one.open = true; });
    Report.repaint();
  });
  addEventListener("afterprint", () => {
    if (before === undefined) delete root.dataset.theme;
    else root.dataset.theme = before;
    Report.repaint();
  });

  const kept = remembered();
  if (kept === "dark" || kept === "light") root.dataset.theme = kept;
  show();
})();
