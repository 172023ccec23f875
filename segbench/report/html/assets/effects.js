"use strict";
// The score against one setting, with intervals, and all settings at once: plain SVG, a title on every mark.
Report.part(() => {
  const { data, find, make, short, draw, drawText: text } = Report;
  const box = find("#effects-plot");
  if (!box) return;
  const { settings, points, metric, shares, short: shorter } = data.effects;
  const chosen = find("#effects-setting");
  const letter = find("#effects-data");
  const [WIDE, HIGH, LEFT, BOTTOM] = [900, 320, 64, 42];

  const inShort = (place, value) => shorter[place][value] ?? (value || "none");

  // Places of the values of a setting in 0..1: numbers by size (by ratio where they range widely), words in order.
  const scaleOf = (values) => {
    const known = [...new Set(values)];
    const numbers = known.map((value) => (value.trim() === "" ? NaN : Number(value)));
    if (known.length > 1 && numbers.every(Number.isFinite)) {
      const log = Math.min(...numbers) > 0 && Math.max(...numbers) / Math.min(...numbers) >= 8;
      const size = (value) => (log ? Math.log(Number(value)) : Number(value));
      const [low, high] = [size(Math.min(...numbers)), size(Math.max(...numbers))];
      return { known, numeric: true, at: (value) => 0.06 + (0.88 * (size(value) - low)) / (high - low) };
    }
    known.sort();
    return { known, numeric: false, at: (value) => (known.indexOf(value) + 0.5) / known.length };
  };

  const heights = (shown) => {
    const ends = shown.flatMap(({ value, low, high }) => [value, low ?? value, high ?? value]);
    const [low, high] = [Math.min(...ends), Math.max(...ends)];
    const room = high - low || Math.abs(high) || 1;
    return { low, high, y: (value) => 14 + (HIGH - BOTTOM - 24) * (1 - (value - low) / room) };
  };

  const words = ({ label, value, low, high }) =>
    `${label}: ${short(value)}${low === null ? "" : `, ${short(low)} to ${short(high)}`}`;

  const frame = ({ low, high, y }) => [low, (low + high) / 2, high].flatMap((value) => [
    draw("line", { x1: LEFT, x2: WIDE, y1: y(value), y2: y(value), class: "grid" }),
    text(LEFT - 6, y(value) + 4, short(value), "end")]);

  const scatter = (svg, shown, place) => {
    const scale = scaleOf(shown.map((point) => point.at[place]));
    const vertical = heights(shown);
    const x = (point, shift = 0) => LEFT + (WIDE - LEFT) * scale.at(point.at[place]) + shift;
    svg.append(...frame(vertical));
    for (const value of scale.known) {
      svg.append(text(LEFT + (WIDE - LEFT) * scale.at(value), HIGH - 20, inShort(place, value)));
    }
    svg.append(text(WIDE / 2, HIGH - 3, settings[place]));
    // groups that are the same in all else belong together
    const lines = new Map();
    for (const point of shown) {
      const key = JSON.stringify(point.at.filter((_, k) => k !== place));
      lines.set(key, [...(lines.get(key) ?? []), point]);
    }
    [...lines.values()].forEach((line, number) => {
      const shift = lines.size > 1 ? ((number % 9) - 4) * 2.5 : 0;
      line.sort((a, b) => scale.at(a.at[place]) - scale.at(b.at[place]));
      const path = line.map((point) => `${x(point, shift)},${vertical.y(point.value)}`).join(" ");
      if (scale.numeric && line.length > 1) svg.append(draw("polyline", { points: path, class: "path" }));
      for (const point of line) {
        const [left, top] = [x(point, shift), vertical.y(point.value)];
        if (point.low !== null) {
          svg.append(draw("line", { x1: left, x2: left, y1: vertical.y(point.low), y2: vertical.y(point.high), class: "range" }));
        }
        svg.append(draw("circle", { cx: left, cy: top, r: point.best ? 6 : 4, class: point.best ? "dot best" : "dot" }, words(point)));
      }
    });
  };

  const parallel = (svg, shown) => {
    const axes = settings.map((_, place) => scaleOf(shown.map((point) => point.at[place])));
    const used = settings.map((_, place) => place).filter((place) => axes[place].known.length > 1);
    const vertical = heights(shown.map((point) => ({ value: point.value, low: null, high: null })));
    const x = (number) => 70 + ((WIDE - 140) * number) / Math.max(used.length, 1);
    const y = (share) => 24 + (HIGH - BOTTOM - 34) * (1 - share);
    const order = [...shown].sort((a, b) => a.best - b.best);
    for (const point of order) {
      const level = Math.round((4 * (point.value - vertical.low)) / (vertical.high - vertical.low || 1));
      const path = used.map((place, k) => `${x(k)},${y(axes[place].at(point.at[place]))}`);
      path.push(`${x(used.length)},${vertical.y(point.value)}`);
      svg.append(draw("polyline", { points: path.join(" "), class: `path level${level}${point.best ? " best" : ""}` }, words(point)));
    }
    used.forEach((place, k) => {
      svg.append(draw("line", { x1: x(k), x2: x(k), y1: 14, y2: HIGH - BOTTOM + 6, class: "axis" }));
      svg.append(text(x(k), HIGH - 14 - (k % 2) * 13, settings[place]));
      for (const value of axes[place].known.slice(0, 12)) {
        svg.append(text(x(k) + 4, y(axes[place].at(value)) + 4, inShort(place, value), "start"));
      }
    });
    svg.append(draw("line", { x1: x(used.length), x2: x(used.length), y1: 14, y2: HIGH - BOTTOM + 6, class: "axis" }));
    svg.append(text(x(used.length), HIGH - 14 - (used.length % 2) * 13, metric));
    for (const value of [vertical.low, vertical.high]) svg.append(text(x(used.length) + 6, vertical.y(value) + 4, short(value), "start"));
  };

  const showShares = () => {
    const rows = (shares[letter.value] ?? []).map(({ name, share, low, high }) => make("tr", {},
      make("th", { scope: "row", textContent: name }),
      make("td", {}, make("meter", { min: 0, max: 1, value: share })),
      make("td", { className: "number", textContent: `${(100 * share).toFixed(0)} %` }),
      make("td", { className: "number soft", textContent: `${(100 * low).toFixed(0)} to ${(100 * high).toFixed(0)} %` })));
    find("#effects-shares").tBodies[0].replaceChildren(...rows);
    find("#effects-shares").hidden = !rows.length;
    find("#effects-few").hidden = rows.length > 0;
  };

  const show = () => {
    const shown = points.filter((point) => point.data === letter.value);
    const svg = draw("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, class: "plot" });
    const other = draw("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, class: "plot" });
    scatter(svg, shown, Number(chosen.value));
    parallel(other, shown);
    box.replaceChildren(svg);
    find("#effects-parallel").replaceChildren(other);
    showShares();
  };
  for (const select of [chosen, letter]) select.addEventListener("change", show);
  show();
});
