"use strict";
// The heat map's colours, and the confusion matrices of two runs.
Report.part(() => {
  const { data, find, all, make } = Report;
  const level = (share) => `h${Math.round(10 * Math.min(Math.max(share, 0), 1))}`;

  const heat = find("#heat");
  const colourHeat = (relative) => {
    const columns = heat.tHead.rows[0].cells.length;
    for (let column = 1; column < columns; column += 1) {
      const cells = [...heat.tBodies[0].rows].map((row) => row.cells[column]).filter((cell) => cell.dataset.value);
      const values = cells.map((cell) => Number(cell.dataset.value));
      const [low, high] = [Math.min(...values), Math.max(...values)];
      cells.forEach((cell, k) => {
        const share = high > low ? (values[k] - low) / (high - low) : 0.5;
        cell.className = level(relative ? share : values[k]);
      });
    }
  };
  if (heat) {
    const relative = find("#heat-relative");
    relative.addEventListener("change", () => colourHeat(relative.checked));
    if (relative.checked) colourHeat(true);
  }

  const first = find("#confusion-run");
  if (!first) return;
  const other = find("#confusion-other");
  const counts = find("#confusion-counts");

  const row = (name, cells, inPixels) => {
    const total = cells.reduce((sum, cell) => sum + cell, 0);
    const line = make("tr", {}, make("th", { scope: "row", textContent: name }));
    for (const cell of cells) {
      const share = total ? cell / total : 0;
      const text = inPixels ? cell.toLocaleString("en") : total ? (100 * share).toFixed(1) : "-";
      line.append(make("td", { className: level(share), textContent: text }));
    }
    return line;
  };

  const matrix = ({ run, classes, counts: rows }) => {
    const compact = classes.length <= 4 ? " short" : "";
    const head = make("tr", {}, make("th", { scope: "col", textContent: "true \\ predicted" }));
    head.append(...classes.map((name) =>
      make("th", { scope: "col", className: `tall${compact}` }, make("span", { textContent: name }))));
    const body = make("tbody", {}, ...rows.map((cells, k) => row(classes[k], cells, counts.checked)));
    const table = make("table", { className: "heat" }, make("thead", {}, head), body);
    const scroll = make("div", { className: "scroll", tabIndex: 0, role: "region" }, table);
    scroll.ariaLabel = `Confusion matrix of ${Report.runName(run)}`;
    return make("figure", {}, make("figcaption", {}, make("b", { textContent: Report.runName(run) })), scroll);
  };

  const show = () => {
    const chosen = [first.value, other.value].filter((value) => value !== "");
    find("#confusion-tables").replaceChildren(...chosen.map((value) => matrix(data.confusion[Number(value)])));
  };

  other.append(make("option", { value: "", textContent: "none" }));
  for (const select of [first, other]) {
    data.confusion.forEach(({ run }, k) =>
      select.append(make("option", { value: String(k), textContent: Report.runName(run) })));
  }
  other.value = data.confusion.length > 1 ? "1" : "";
  all("#confusion-run, #confusion-other, #confusion-counts").forEach((one) => one.addEventListener("change", show));
  show();
});
