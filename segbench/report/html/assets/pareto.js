"use strict";
// Quality of every group against one of its costs, with the front that nothing beats.
Report.part(() => {
  const { data, find, short } = Report;
  const box = find("#pareto-chart");
  if (!box) return;
  const { axes, points, metric } = data.pareto;
  const cost = find("#pareto-cost");
  const letter = find("#pareto-data");
  const logarithmic = find("#pareto-log");
  const readout = find("#pareto-readout");
  const WIDE = 30; // costs that differ more than this are first shown on a log axis
  let shown = [];

  const axis = () => axes[Number(cost.value)];
  const spread = (values) => Math.max(...values) / Math.min(...values);
  const chooseScale = () => {
    const costs = points.map((point) => point.costs[axis().name]).filter((value) => value > 0);
    logarithmic.checked = costs.length > 0 && spread(costs) > WIDE;
  };

  const select = () => {
    const { name } = axis();
    shown = points.filter((point) => point.data === letter.value && point.costs[name] !== undefined);
    if (logarithmic.checked) shown = shown.filter((point) => point.costs[name] > 0);
    shown.sort((a, b) => a.costs[name] - b.costs[name]);
  };

  const range = (values, room) => {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const wide = (high - low) * room || Math.abs(low) * room || 1;
    return [low - wide, high + wide];
  };
  const costRange = () => {
    const costs = shown.map((point) => point.costs[axis().name]);
    if (!costs.length) return [0.1, 1];
    return logarithmic.checked ? [Math.min(...costs) / 1.3, Math.max(...costs) * 1.3] : range(costs, 0.06);
  };
  const qualityRange = () =>
    shown.length ? range(shown.flatMap((p) => [p.value, p.low ?? p.value, p.high ?? p.value]), 0.08) : [0, 1];

  // 1, 2 and 5 times powers of ten; uPlot's own begin at the edge of the plot.
  const logTicks = (plot, number, low, high) => {
    const powers = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) powers.push(10 ** power);
    return powers.flatMap((power) => [power, 2 * power, 5 * power]).filter((tick) => tick >= low && tick <= high);
  };

  const drawIntervals = (plot) => {
    const { ctx } = plot;
    ctx.save();
    ctx.beginPath();
    ctx.rect(plot.bbox.left, plot.bbox.top, plot.bbox.width, plot.bbox.height);
    ctx.clip();
    ctx.strokeStyle = Report.colour("soft");
    ctx.globalAlpha = 0.5;
    ctx.lineWidth = devicePixelRatio;
    ctx.beginPath();
    for (const point of shown.filter(({ low }) => low !== null)) {
      const x = plot.valToPos(point.costs[axis().name], "x", true);
      ctx.moveTo(x, plot.valToPos(point.low, "y", true));
      ctx.lineTo(x, plot.valToPos(point.high, "y", true));
    }
    ctx.stroke();
    ctx.restore();
  };

  const place = (plot, point) => [plot.valToPos(point.costs[axis().name], "x"), plot.valToPos(point.value, "y")];
  const readOut = (plot) => {
    const { left, top } = plot.cursor;
    if (left === undefined || left < 0 || !shown.length) return;
    const far = shown.map((point) => Math.hypot(place(plot, point)[0] - left, place(plot, point)[1] - top));
    const point = shown[far.indexOf(Math.min(...far))];
    const interval = point.low === null ? "" : ` (95 % interval ${point.low.toFixed(4)} to ${point.high.toFixed(4)})`;
    const marks = [point.best && "best", point.fronts.includes(axis().name) && "on the front"].filter(Boolean);
    const size = `${axis().label} ${short(point.costs[axis().name])}`;
    readout.textContent = [point.label, `${metric} ${point.value.toFixed(4)}${interval}`, size, ...marks].join(" · ");
  };

  const build = () => {
    select();
    const { name, label, more } = axis();
    const only = (keep) => shown.map((point) => (keep(point) ? point.value : null));
    const dots = (colour, size, fill) => ({
      paths: () => null, points: { show: true, size, stroke: colour, fill, width: 1.5 },
    });
    const [accent, front] = [Report.colour("accent"), Report.colour("bad")];
    const options = {
      scales: {
        x: { time: false, distr: logarithmic.checked ? 3 : 1, range: costRange },
        y: { range: qualityRange },
      },
      axes: [chartAxis(label, logarithmic.checked ? { splits: logTicks, filter: (plot, ticks) => ticks } : {}), chartAxis(metric, { size: 64 })],
      cursor: { drag: { x: false, y: false }, points: { show: false } },
      series: [
        {},
        dots(accent, 8, Report.colour("paper")),
        { stroke: front, width: 1.5, spanGaps: true, paths: uPlot.paths.stepped({ align: more ? -1 : 1 }),
          points: { show: true, size: 8, stroke: front, fill: front } },
        dots(Report.colour("good"), 15, "transparent"),
      ],
      hooks: { drawSeries: [(plot, number) => number === 1 && drawIntervals(plot)], setCursor: [readOut] },
    };
    const xs = shown.map((point) => point.costs[name]);
    return { options, data: [xs, only(() => true), only((p) => p.fronts.includes(name)), only((p) => p.best)] };
  };

  chooseScale();
  const draw = makeChart("pareto", box, build, (plot) => shown.map((point) => place(plot, point)));
  cost.addEventListener("change", () => { chooseScale(); draw(); });
  letter.addEventListener("change", draw);
  logarithmic.addEventListener("change", draw);
});
