"use strict";
// A uPlot chart that follows the width of its box and the theme, and whose cursor moves with the arrow keys.
const makeChart = (name, box, build, stops) => {
  const HEIGHT = 340;
  let plot = null;
  let width = 0;
  let stop = -1;

  const draw = () => {
    plot?.destroy();
    stop = -1;
    width = box.clientWidth;
    const { options, data } = build();
    plot = new uPlot({ width, height: HEIGHT, legend: { show: false }, ...options }, data, box);
    Report.charts[name] = plot;
  };

  const step = (by) => {
    const places = stops(plot);
    if (!places.length) return;
    stop = stop < 0 && by < 0 ? places.length - 1 : Math.min(Math.max(stop + by, 0), places.length - 1);
    const [left, top] = places[stop];
    plot.setCursor({ left, top });
  };

  box.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    step(by);
  });
  new ResizeObserver(() => {
    if (box.clientWidth && box.clientWidth !== width) draw();
  }).observe(box);
  Report.onColours(draw);
  draw();
  return draw;
};

// An axis in the colours of the theme.
const chartAxis = (label, more = {}) => ({
  label,
  stroke: Report.colour("soft"),
  grid: { stroke: Report.colour("line"), width: 1 },
  ticks: { stroke: Report.colour("line"), width: 1 },
  font: "12px system-ui, sans-serif",
  labelFont: "12px system-ui, sans-serif",
  values: (plot, splits) => splits.map((value) => (value === null ? "" : Report.short(value))),
  ...more,
});
