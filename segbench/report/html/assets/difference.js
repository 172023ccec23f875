"use strict";
// What differs in the settings of any two runs.
Report.part(() => {
  const { data, find, make } = Report;
  const { base, runs } = data.settings;
  const [first, second] = [find("#difference-first"), find("#difference-second")];
  const body = find("#difference-table").tBodies[0];
  const known = data.order.filter((number) => runs[number]);

  // A map, as an untrusted setting may have any name.
  const settings = (number) => {
    const found = new Map(Object.entries(base));
    for (const [name, value] of Object.entries(runs[number])) {
      if (value === null) found.delete(name);
      else found.set(name, value);
    }
    return found;
  };

  const show = () => {
    if (!known.length) return;
    const [one, two] = [settings(first.value), settings(second.value)];
    const names = [...new Set([...one.keys(), ...two.keys()])].filter((name) => one.get(name) !== two.get(name));
    const cell = (value) => (value === undefined
      ? make("td", { className: "soft", textContent: "not there" }) : make("td", { textContent: value }));
    body.replaceChildren(...names.map((name) =>
      make("tr", {}, make("th", { scope: "row", textContent: name }), cell(one.get(name)), cell(two.get(name)))));
    find("#difference-count").textContent =
      names.length ? `${names.length} of ${new Set([...one.keys(), ...two.keys()]).size} settings differ`
        : "Their settings are the same.";
  };

  for (const select of [first, second]) {
    Report.fillSelect(select, known);
    select.addEventListener("change", show);
  }
  second.selectedIndex = Math.min(1, known.length - 1);
  show();
});
