"use strict";
// Sample panels fitted to their place, or as large as they are.
(() => {
  const size = Report.find("#samples-size");
  if (!size) return;
  const apply = () => Report.find("#samples-list").classList.toggle("full", size.checked);
  size.addEventListener("change", apply);
  apply();
})();
