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

  const sort = (table, place, way) => {
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => ({ row, key: sortKey(row.cells[place]) }));
    rows.sort((a, b) => compare(a.key, b.key, way)); // stable: rows of equal keys keep their order
    body.append(...rows.map(({ row }) => row));
  };

  const headings = (table) => [...table.tHead.rows[0].cells];

  const setUpSorting = (table) => {
    for (const [place, heading] of headings(table).entries()) {
      heading.firstElementChild.addEventListener("click", () => {
        const first = "falling" in heading.dataset ? "descending" : "ascending";
        const other = first === "ascending" ? "descending" : "ascending";
        const order = heading.ariaSort === first ? other : first;
        headings(table).forEach((one) => one.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", order);
        sort(table, place, order === "ascending" ? 1 : -1);
      });
    }
  };

  const setUpFilter = (table, name) => {
    const input = Report.find(`#${name}-filter`);
    const state = Report.find(`#${name}-state`);
    const count = Report.find(`#${name}-count`);
    const rows = [...table.tBodies[0].rows].map((row) => ({
      row, text: [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase(),
    }));
    const apply = () => {
      let shown = 0;
      for (const { row, text } of rows) {
        const keep = Report.matches(text, input.value) && (!state?.value || row.classList.contains(state.value));
        if (row.hidden === keep) row.hidden = !keep;
        shown += keep;
      }
      count.textContent = shown === rows.length ? `${shown} rows` : `${shown} of ${rows.length} rows`;
    };
    input.addEventListener("input", apply);
    state?.addEventListener("change", apply);
    apply(); // a page that is opened again may remember the filter
  };

  for (const name of ["groups", "runs"]) {
    const table = Report.find(`#${name}-table`);
    if (!table) continue;
    setUpSorting(table);
    setUpFilter(table, name);
  }
})();
