"use strict";
// Curves of the chosen runs over each other. The list of runs is the legend, with the values at the cursor.
Report.part(() => {
  const { data, find, make } = Report;
  const box = find("#curve-chart");
  if (!box) return;
  // groups first: mean and range of their seeds; then single runs
  const sources = [
    ...data.curves.groups.map(({ label, n, curves }) =>
      ({ curves, label: `${label} (mean and range of ${n})`, name: label, state: "completed", group: true })),
    ...data.curves.runs.map(({ run, curves }) => ({ curves, ...data.runs[run], group: false })),
  ];
  // Okabe and Ito's colours, without yellow and black, which do not show on paper or in the dark.
  const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c8c8c"];
  const DASHES = [[], [8, 4], [2, 3]];
  const BORDERS = ["solid", "dashed", "dotted"];
  const AT_FIRST = 5;

  const metric = find("#curve-metric");
  const weight = find("#curve-smooth");
  const logarithmic = find("#curve-log");
  const slots = new Map(); // place of a chosen one in `sources` -> number of its colour and dash

  const takeSlot = (place) => {
    const taken = new Set(slots.values());
    let slot = 0;
    while (taken.has(slot)) slot += 1;
    slots.set(place, slot);
  };

  const look = (slot) => {
    const turn = Math.floor(slot / COLOURS.length) % DASHES.length;
    return { stroke: COLOURS[slot % COLOURS.length], dash: DASHES[turn], border: BORDERS[turn] };
  };

  const entries = sources.map(({ label, name, state }, place) => {
    const input = make("input", { type: "checkbox", value: String(place), autocomplete: "off" });
    const swatch = make("span", { className: "swatch" });
    const value = make("output");
    const words = state === "completed" ? label : `${label} [${state}]`;
    const what = make("span", { className: "what", textContent: words, title: name });
    const line = make("label", {}, input, swatch, what, value);
    input.addEventListener("change", () => { choose(place, input.checked); draw(); });
    return { input, swatch, value, line, text: `${label} ${name} ${state}`.toLowerCase() };
  });
  find("#curve-list").append(...entries.map(({ line }) => line));

  const choose = (place, chosen) => {
    if (!chosen) slots.delete(place);
    else if (!slots.has(place)) takeSlot(place);
    const { input, swatch, value } = entries[place];
    const { stroke, border } = chosen ? look(slots.get(place)) : { stroke: "transparent", border: "solid" };
    input.checked = chosen;
    swatch.style.borderTop = `3px ${border} ${stroke}`;
    if (!chosen) value.textContent = "";
  };

  const chosenCurves = () => [...slots.keys()].filter((place) => sources[place].curves[metric.value]);
  const drawable = (values) => (logarithmic.checked ? values.map((value) => (value > 0 ? value : null)) : values);

  // The lines: smoothed ones, and behind them what was measured, pale.
  const lines = () => {
    const places = chosenCurves();
    const by = Number(weight.value);
    const tables = [];
    const styles = [];
    const bands = [];
    for (const place of places) {
      const [epochs, values, low, high] = sources[place].curves[metric.value];
      const { stroke, dash } = look(slots.get(place));
      const line = { stroke, dash, width: 2, spanGaps: true, points: { show: false }, place };
      const pale = { ...line, width: 1, alpha: 0.25, dash: [], place: null };
      const columns = by > 0 ? [drawable(values), drawable(smooth(values, by))] : [drawable(values)];
      styles.push(...(by > 0 ? [pale, line] : [line]));
      if (low) {
        bands.push({ series: [styles.length + 2, styles.length + 1], fill: `color-mix(in srgb, ${stroke} 18%, transparent)` });
        styles.push({ ...pale, width: 0 }, { ...pale, width: 0 });
        columns.push(drawable(low), drawable(high));
      }
      tables.push([epochs, ...columns]);
    }
    return { styles, bands, joined: tables.length ? uPlot.join(tables) : [[1, 2]] };
  };

  // The value of each line at the cursor, or its last one.
  const readOut = (plot) => {
    const at = plot.cursor.idx ?? plot.data[0].length - 1;
    plot.series.forEach(({ place }, number) => {
      if (place === null || place === undefined) return;
      let back = at;
      while (back > 0 && (plot.data[number][back] ?? null) === null) back -= 1;
      entries[place].value.textContent = Report.short(plot.data[number][back]);
    });
  };

  const build = () => {
    const { styles, bands, joined } = lines();
    const single = styles.length && joined[0].length === 1;
    const options = {
      scales: { x: { time: false }, y: { distr: logarithmic.checked ? 3 : 1 } },
      axes: [chartAxis("epoch"), chartAxis(data.curves.metrics[metric.value], { size: 64 })],
      cursor: { drag: { x: true, y: false }, points: { size: 7 } },
      series: [{}, ...styles.map((style) => (single ? { ...style, points: { show: true, size: 8 } } : style))],
      bands,
      hooks: { setCursor: [readOut], ready: [readOut] },
    };
    return { options, data: joined };
  };

  const chooseSome = (kept) => {
    const chosen = sources.map((_, place) => place).filter((place) => kept(sources[place])).slice(0, AT_FIRST);
    entries.forEach((entry, place) => choose(place, chosen.includes(place)));
  };
  chooseSome(({ group }) => !group);
  const draw = makeChart("curves", box, build, (plot) => plot.data[0].map((x) => [plot.valToPos(x, "x"), 10]));

  metric.addEventListener("change", draw);
  logarithmic.addEventListener("change", draw);
  weight.addEventListener("input", () => {
    find("#curve-smooth-value").textContent = Number(weight.value).toFixed(2);
    draw();
  });
  find("#curve-best").addEventListener("click", () => { chooseSome(({ group }) => !group); draw(); });
  find("#curve-groups")?.addEventListener("click", () => { chooseSome(({ group }) => group); draw(); });
  find("#curve-none").addEventListener("click", () => { chooseSome(() => false); draw(); });
  find("#curve-filter").addEventListener("input", (event) => {
    entries.forEach(({ line, text }) => { line.hidden = !Report.matches(text, event.target.value); });
  });
});
