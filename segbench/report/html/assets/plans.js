"use strict";
// The smallest difference that is seen, against the seeds of each setting: a line for so many times the units.
Report.part(() => {
  const { data, find, make, short, draw, drawText: text } = Report;
  const box = find("#plan-plots");
  if (!box) return;
  const [WIDE, HIGH, LEFT, BOTTOM] = [640, 260, 64, 42];

  const plot = ({ data: letter, units, seen, seeds, lines }) => {
    const most = Math.max(...lines.flatMap(({ values }) => values));
    const x = (count) => LEFT + ((WIDE - LEFT - 150) * Math.log(count / seeds[0])) / Math.log(seeds.at(-1) / seeds[0]);
    const y = (value) => 14 + (HIGH - BOTTOM - 14) * (1 - value / most);
    const svg = draw("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, class: "plot", role: "img", "aria-label": `Differences that are seen, data ${letter}` });
    for (const value of [0, most / 2, most]) {
      svg.append(draw("line", { x1: LEFT, x2: x(seeds.at(-1)), y1: y(value), y2: y(value), class: "grid" }), text(LEFT - 6, y(value) + 4, short(value), "end"));
    }
    for (const count of seeds) svg.append(text(x(count), HIGH - 22, String(count)));
    svg.append(text((LEFT + x(seeds.at(-1))) / 2, HIGH - 4, "seeds of each setting"));
    let lowest = -Infinity; // where lines end close together their names stand below each other
    for (const { times, values } of lines) {
      svg.append(draw("polyline", { points: seeds.map((count, k) => `${x(count)},${y(values[k])}`).join(" "), class: "path" }));
      seeds.forEach((count, k) => svg.append(draw("circle", { cx: x(count), cy: y(values[k]), r: 4, class: "dot" },
        `${count} seeds, ${times} times the units: ${short(values[k])}`)));
      lowest = Math.max(y(values.at(-1)) + 4, lowest + 15);
      svg.append(text(x(seeds.at(-1)) + 10, lowest, times === 1 ? "these units" : `${times} times as many`, "start"));
    }
    if (seen >= seeds[0] && seen <= seeds.at(-1)) {
      svg.append(draw("line", { x1: x(seen), x2: x(seen), y1: 14, y2: HIGH - BOTTOM, class: "axis" }, `now: ${seen} seeds each`));
    }
    return make("figure", {}, make("figcaption", { textContent: `data ${letter}: ${units}, ${seen} seeds each so far` }),
      make("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: `Plan, data ${letter}` }, svg));
  };

  box.append(...data.plans.map(plot));
});
