"use strict";
// What all parts share: the data, making elements, numbers as text, colours of the theme.
// Words of run folders only ever become text nodes and values of properties, never markup.
const Report = (() => {
  const data = {};
  const find = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  const make = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };

  // An element of a drawing; a title is what a pointer over it shows.
  const draw = (name, attributes, title) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (title) element.append(draw("title", {}));
    if (title) element.firstChild.textContent = title;
    return element;
  };
  const drawText = (x, y, words, anchor = "middle") => {
    const element = draw("text", { x, y, "text-anchor": anchor });
    element.textContent = words;
    return element;
  };

  const SIZES = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];
  // Three or four digits: 0.8123, 0.00031, 7.01M.
  const short = (value) => {
    if (value === null || value === undefined) return "-";
    const [size, letter] = SIZES.find(([least]) => Math.abs(value) >= 0.9995 * least) ?? [1, ""];
    const digits = Number((value / size).toPrecision(letter ? 3 : 4));
    return Math.abs(digits) < 1e-4 && digits !== 0 ? digits.toExponential(1) : digits + letter;
  };

  const probe = make("span", { hidden: true });
  document.body.append(probe);
  // The colour that a variable of the style sheet has now, for canvases.
  const colour = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };

  const runName = (number) => {
    const { label, name } = data.runs[number];
    return label === name ? name : `${label} (${name})`;
  };

  const option = (value, text) => make("option", { value, textContent: text });
  const fillSelect = (select, numbers) => select.append(...numbers.map((number) => option(number, runName(number))));

  const painters = [];
  // Calls a function whenever colours change.
  const onColours = (painter) => painters.push(painter);
  const repaint = () => painters.forEach((painter) => painter());

  // Whether a text holds all words of a filter, and none of those with a minus in front.
  const matches = (text, filter) =>
    filter.toLowerCase().split(/\s+/).filter((word) => word && word !== "-")
      .every((word) => (word.startsWith("-") ? !text.includes(word.slice(1)) : text.includes(word)));

  // The data is one compressed text in the page: parts that draw it wait for it, and begin in their order.
  const parts = [];
  const part = (begin) => parts.push(begin);
  const unpacked = async () => {
    const packed = Uint8Array.from(atob(find("#data").textContent), (sign) => sign.charCodeAt(0));
    return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
  };
  const start = async () => {
    Object.assign(data, await unpacked());
    parts.forEach((begin) => begin());
    document.documentElement.dataset.ready = "";
  };

  return { start, part, data, find, all, make, draw, drawText, short, colour, runName, fillSelect, onColours, repaint, matches, charts: {} };
})();
