"use strict";
// Sorting and filtering of the tables that are already in the page.
Report.part(() => {
  const { data, make, draw } = Report;
  const words = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

  // Numbers by value, then words; empty cells last, whichever way it is sorted.
  const compare = (a, b, way) => {
    if (a.empty || b.empty) return a.empty - b.empty;
    if (a.number !== null && b.number !== null) return way * (a.number - b.number);
    if ((a.number === null) !== (b.number === null)) return a.number === null ? 1 : -1;
    return way * words.compare(a.text, b.text);
  };

  // A row as the page packs it: its marks, then each cell as its text, or as text, key, kind, hint and whisker.
  const unpack = ([marks, ...cells]) => {
    const whole = cells.map((cell) => (typeof cell === "string" ? [cell] : cell));
    return {
      marks,
      whole,
      row: null,
      keys: whole.map(([text, key]) => ({ text, number: key ? Number(key) : null, empty: text === "" || text === "-" })),
      text: whole.map(([text]) => text).join(" ").toLowerCase(),
    };
  };

  const pill = (word) => make("span", { className: `pill ${word.replaceAll(" ", "-")}` },
    make("span", { ariaHidden: "true", textContent: data.symbols[word] ?? "" }), ` ${word}`);

  const whisker = ([low, mean, high]) => {
    const svg = draw("svg", { class: "whisker", viewBox: `0 0 ${data.whisker} 12`, "aria-hidden": "true" });
    if (low !== high) svg.append(draw("path", { d: `M${low} 6H${high}` }));
    svg.append(draw("circle", { cx: mean, cy: 6, r: 2.5 }));
    return svg;
  };

  const cell = ([text, key, kind = "", hint = "", drawn = null]) => {
    const td = make("td", { title: hint });
    if (["mark", "state", "verdict"].includes(kind)) td.append(...(text ? [pill(text)] : []));
    else td.append(...(drawn ? [whisker(drawn)] : []), text);
    if (kind === "score" || kind === "number") td.className = kind === "score" ? "number score" : "number";
    else if (!["mark", "state", "verdict", ""].includes(kind)) td.className = kind;
    return td;
  };

  const headings = (table) => [...table.tHead.rows[0].cells];

  // A table whose rows are held as data; the page has the first ones that the filter keeps, in the order of the sort.
  const setUp = (table, name) => {
    const input = Report.find(`#${name}-filter`);
    const state = Report.find(`#${name}-state`);
    const count = Report.find(`#${name}-count`);
    const more = Report.find(`#${name}-more`);
    const body = table.tBodies[0];
    const rows = data.tables[name].map(unpack);
    const hidden = new Set();

    const drawn = (one) => {
      one.row ??= make("tr", { className: one.marks }, ...one.whole.map(cell));
      for (const [place, td] of [...one.row.cells].entries()) td.hidden = hidden.has(place);
      return one.row;
    };
    let all = false;

    const show = () => {
      const kept = rows.filter(({ marks, text }) =>
        Report.matches(text, input.value) && (!state?.value || marks === state.value));
      const shown = all ? kept : kept.slice(0, data.at_first) /* thousands would make every click slow */;
      body.replaceChildren(...shown.map(drawn));
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
    setUpColumns(table, name, hidden, show);
    freeze(table);
  };

  // Boxes that take columns away and bring them back.
  const setUpColumns = (table, name, hidden, show) => {
    const boxes = headings(table).map((heading, place) => {
      const box = Report.make("input", { type: "checkbox", checked: true, autocomplete: "off" });
      box.addEventListener("change", () => {
        if (box.checked) hidden.delete(place);
        else hidden.add(place);
        heading.hidden = !box.checked;
        show();
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
});
