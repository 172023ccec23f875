"use strict";
// Sorting and filtering of the tables that are already in the page.
(() => {
  const words = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

  // Numbers by value, then words; empty cells last, whichever way it is sorted.
  const compare = (a, b, way) => {
    if (a.empty || b.empty) return a.empty - b.empty;
    if (a.number !== null && b.number !== null) return way * (a.number - b.number);
    if ((a.number === null) !== (b.number === null)) return a.number === null ? 1 : -1;
    return way * words.compare(a.text, b.text);
  };

  const sortKey = (cell) => {
    const text = cell.textContent.trim();
    const key = cell.dataset.key;
    return { text, number: key ? Number(key) : null, empty: key === "" || text === "" || text === "-" };
  };

  const AT_FIRST = 100; // rows in the page: a thousand would make every click slow
  const headings = (table) => [...table.tHead.rows[0].cells];

  // A table whose rows are held here; the page has the first ones that the filter keeps, in the order of the sort.
  const setUp = (table, name) => {
    const input = Report.find(`#${name}-filter`);
    const state = Report.find(`#${name}-state`);
    const count = Report.find(`#${name}-count`);
    const more = Report.find(`#${name}-more`);
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => ({
      row, keys: [...row.cells].map(sortKey), text: [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase(),
    }));
    let all = false;

    const show = () => {
      const kept = rows.filter(({ row, text }) =>
        Report.matches(text, input.value) && (!state?.value || row.classList.contains(state.value)));
      const shown = all ? kept : kept.slice(0, AT_FIRST);
      body.replaceChildren(...shown.map(({ row }) => row));
      count.textContent = kept.length === rows.length ? `${kept.length} rows` : `${kept.length} of ${rows.length} rows`;
      more.hidden = shown.length === kept.length;
      more.textContent = `Show all ${kept.length} rows`;
    };

    for (const [place, heading] of headings(table).entries()) {
      heading.firstElementChild.addEventListener("click", () => {
        const first = "falling" in heading.dataset ? "descending" : "ascending";
        const other = first === "ascending" ? "descending" : "ascending";
        const order = heading.ariaSort === first ? other : first;
        headings(table).forEach((one) => one.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", order);
        const way = order === "ascending" ? 1 : -1;
        rows.sort((a, b) => compare(a.keys[place], b.keys[place], way)); // stable: equal keys keep their order
        show();
      });
    }
    input.addEventListener("input", show);
    state?.addEventListener("change", show);
    more.addEventListener("click", () => { all = true; show(); });
    addEventListener("beforeprint", () => { all = true; show(); });
    show(); // a page that is opened again may remember the filter
    setUpColumns(table, name, rows);
    freeze(table);
  };

  // Boxes that take columns away and bring them back.
  const setUpColumns = (table, name, rows) => {
    const boxes = headings(table).map((heading, place) => {
      const box = Report.make("input", { type: "checkbox", checked: true, autocomplete: "off" });
      box.addEventListener("change", () => {
        for (const row of [table.tHead.rows[0], ...rows.map((one) => one.row)]) row.cells[place].hidden = !box.checked;
        freeze(table);
      });
      return Report.make("label", { className: "check" }, box, heading.textContent.trim());
    });
    Report.find(`#${name}-columns`).append(...boxes);
  };

  // The first two columns stay where they are while the others are scrolled.
  const freeze = (table) => table.style.setProperty("--first", `${headings(table)[0].offsetWidth}px`);

  for (const name of ["groups", "runs"]) {
    const table = Report.find(`#${name}-table`);
    if (table) setUp(table, name);
  }
})();
