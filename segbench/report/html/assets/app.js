"use strict";
// A picture goes to this page's own server; what its networks say comes back as maps, and everything is drawn from them.
Report.part(() => {
  const { find, make, data } = Report;
  const { runs } = data;
  const sides = ["left", "right"].slice(0, runs.length);
  const files = {};
  const view = find("#view");
  const layers = find("#layers");
  let answers = new Map(); // by the number of the run
  let sending = new AbortController();
  let point = null;

  const runOf = (side) => Number(find(`#${side}-run`).value);
  const answerOf = (side) => answers.get(runOf(side));
  const anyAnswer = () => sides.map(answerOf).find(Boolean);
  const say = (text) => { find("#status").textContent = text; };
  const complain = (text) => {
    find("#error").textContent = text;
    find("#error").hidden = !text;
  };

  // What comes back: a line of JSON, then each map, deflated.
  const inflated = async (bytes) =>
    new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).arrayBuffer());
  const unpacked = async (bytes) => {
    let start = bytes.indexOf(10) + 1;
    const answer = JSON.parse(new TextDecoder().decode(bytes.subarray(0, start)));
    answer.maps = {};
    for (const [name, size] of Object.entries(answer.parts)) {
      answer.maps[name] = await inflated(bytes.subarray(start, start + size));
      start += size;
    }
    const { depth, mask } = answer.maps;
    if (depth) answer.maps.depth = new Float32Array(depth.buffer);
    answer.counts = new Array(256).fill(0);
    mask?.forEach((id) => { answer.counts[id] += 1; });
    return answer;
  };

  const ask = async (number, { signal }) => {
    const behind = runs[number].background ? files.background : undefined;
    const query = new URLSearchParams({ run: number, name: files.picture.name, behind: behind?.size ?? 0, behind_name: behind?.name ?? "" });
    const body = new Blob(behind ? [files.picture, behind] : [files.picture]);
    if (body.size > data.most_bytes) throw new Error(`more than ${data.most_bytes.toLocaleString("en")} bytes; segbench predict reads it`);
    let response;
    try {
      response = await fetch(`predict?${query}`, { method: "POST", body, signal });
    } catch {
      throw new Error("the server does not answer; is segbench app still at work?");
    }
    if (!response.ok) throw new Error(await response.text());
    return unpacked(new Uint8Array(await response.arrayBuffer()));
  };

  // One run after the other: the first is to be seen while the second is at work.
  const predict = async () => {
    if (!files.picture) return;
    sending.abort();
    const mine = (sending = new AbortController());
    const problems = new Set();
    complain("");
    for (const number of new Set(sides.map(runOf))) {
      if (answers.has(number)) continue;
      say(`${runs[number].name} looks at ${files.picture.name} ...`);
      try {
        const answer = await ask(number, mine);
        if (mine === sending) answers.set(number, answer);
      } catch (error) {
        problems.add(error.message);
      }
      if (mine !== sending) return; // there is another picture
      show();
    }
    show();
    summarise();
    if (problems.size) complain(`${files.picture.name}: ${[...problems].join("; ")}`);
  };

  const take = (file, kind = "picture") => {
    if (!file) return;
    files[kind] = file;
    if (kind === "picture" && answers.size) delete files.background; // that of the picture before
    answers = new Map();
    point = null;
    find("#work").hidden = true;
    if (find("#background")) find("#drop-background b").textContent = files.background?.name ?? "Drop its background";
    predict();
  };

  const summarise = () => {
    const [left, right] = sides.map(answerOf);
    const size = anyAnswer();
    if (!size) return say("Nothing is shown.");
    const words = [`${files.picture.name}: ${size.width.toLocaleString("en")} x ${size.height.toLocaleString("en")} pixels`];
    if (left?.clips || right?.clips) words.push("more than 5 % of its values lie beyond those of the training, and were clipped");
    const same = left && right && left !== right && String(runs[runOf("left")].classes) === String(runs[runOf("right")].classes);
    if (same && left.maps.mask && right.maps.mask) {
      const other = right.maps.mask;
      const count = left.maps.mask.reduce((sum, id, k) => sum + (id !== other[k]), 0);
      words.push(`the two masks differ at ${(100 * count / other.length).toFixed(2)} % of the pixels`);
    }
    return say(words.join("; "));
  };

  // Colours: a table of 256 for maps of bytes.
  const word = (red, green, blue) => ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  const STOPS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]]; // viridis
  const shades = Uint32Array.from({ length: 256 }, (_, level) => {
    const place = Math.min((level / 255) * 4, 3.9999);
    const [low, high] = [STOPS[Math.floor(place)], STOPS[Math.floor(place) + 1]];
    return word(...low.map((value, k) => value + (high[k] - value) * (place % 1)));
  });
  const greys = Uint32Array.from({ length: 256 }, (_, level) => word(level, level, level));
  const classColours = (run, firstIsClear) => {
    const table = new Uint32Array(256);
    run.colours.forEach((colour, id) => { table[id] = word(...colour); });
    if (firstIsClear) table[0] = 0;
    return table;
  };
  const nearIsBright = (depth) => {
    const far = depth.reduce((most, value) => Math.max(most, value), 1e-6);
    return Uint8Array.from(depth, (value) => 255 * Math.min(Math.max(1 - value / far, 0), 1));
  };

  // The map that a view shows, and its colours.
  const layerOf = (run, { maps }) => {
    if (view.value === "overlay" || view.value === "mask") return [maps.mask, classColours(run, view.value === "overlay")];
    if (view.value === "depth") return [maps.depth && nearIsBright(maps.depth), greys];
    if (view.value.startsWith("class ")) return [maps[`class${run.classes.indexOf(view.value.slice(6))}`], shades];
    return [maps[view.value === "picture" ? "" : view.value], shades];
  };
  const draw = (canvas, { width, height }, fill) => {
    Object.assign(canvas, { width, height }); // which clears it
    const image = new ImageData(width, height);
    fill(new Uint32Array(image.data.buffer));
    canvas.getContext("2d").putImageData(image, 0, 0);
  };
  const drawPicture = ({ width, height, maps: { picture } }) => draw(find("#base"), { width, height }, (pixels) => {
    for (let k = 0; k < pixels.length; k += 1) pixels[k] = word(picture[3 * k], picture[3 * k + 1], picture[3 * k + 2]);
  });
  const drawSide = (side) => {
    const answer = answerOf(side);
    const [map, colours] = answer ? layerOf(runs[runOf(side)], answer) : [];
    const canvas = find(`#${side}`);
    canvas.hidden = !map;
    if (map) draw(canvas, answer, (pixels) => { for (let k = 0; k < pixels.length; k += 1) pixels[k] = colours[map[k]]; });
  };

  const fit = ({ width, height }) => {
    const own = find("#own-size").checked;
    layers.style.aspectRatio = `${width} / ${height}`;
    layers.style.width = own ? `${width}px` : "auto";
    layers.style.maxWidth = own ? "none" : `calc(75vh * ${width / height})`;
    layers.classList.toggle("coarse", width < 2 * layers.clientWidth);
  };
  const divide = () => {
    const place = find("#swipe").value;
    const two = sides.length > 1;
    find("#divider").hidden = !two;
    find("#divider").style.left = `${place}%`;
    find("#left").style.clipPath = two ? `inset(0 ${100 - place}% 0 0)` : "none";
    find("#right").style.clipPath = `inset(0 0 0 ${place}%)`;
  };
  const fade = () => {
    const overlay = view.value === "overlay";
    find("#opacity-label").hidden = !overlay;
    for (const side of sides) find(`#${side}`).style.opacity = overlay ? find("#opacity").value / 100 : 1;
  };

  const legend = (side) => {
    const run = runs[runOf(side)];
    const answer = answerOf(side);
    const table = find(`#${side}-legend`);
    table.parentElement.hidden = !answer?.maps.mask;
    if (!answer?.maps.mask) return;
    const rows = run.classes.map((name, id) => {
      const swatch = make("i");
      swatch.style.background = `rgb(${run.colours[id]})`;
      const key = make("button", { type: "button", className: "key", title: `Probability of ${name}`, ariaPressed: view.value === `class ${name}` }, swatch, make("span", { textContent: name }));
      key.addEventListener("click", () => {
        view.value = key.ariaPressed === "true" ? "overlay" : `class ${name}`;
        repaint();
      });
      const share = `${(100 * answer.counts[id] / (answer.width * answer.height)).toFixed(1)} %`;
      return make("tr", {}, make("td", {}, key), make("td", { className: "number", textContent: share }), make("td", { className: "number here" }));
    });
    const head = make("tr", {}, ...["Class", "Of the mask", "Here"].map((textContent) => make("th", { textContent })));
    table.replaceChildren(make("caption", { textContent: run.name }), make("thead", {}, head), make("tbody", {}, ...rows));
  };

  const percent = (level) => `${Math.round(level / 2.55)} %`;
  const read = () => {
    if (!point) return;
    const lines = [`x ${point.x}, y ${point.y}`];
    for (const side of sides) {
      const answer = answerOf(side);
      if (!answer) continue;
      const run = runs[runOf(side)];
      const { maps } = answer;
      const place = point.y * answer.width + point.x;
      const words = [];
      if (maps.mask) {
        const id = maps.mask[place];
        words.push(`${run.classes[id]} ${percent(maps[`class${id}`][place])}`, `entropy ${(maps.entropy[place] / 255).toFixed(2)}`);
        document.querySelectorAll(`#${side}-legend .here`).forEach((cell, k) => { cell.textContent = percent(maps[`class${k}`][place]); });
      }
      if (maps.depth) words.push(`depth ${maps.depth[place].toPrecision(4)}`);
      lines.push(sides.length > 1 ? `${side}: ${words.join(", ")}` : words.join(", "));
    }
    find("#readout").textContent = lines.join("\n");
    const { width, height } = anyAnswer();
    Object.assign(find("#point").style, { left: `${100 * (point.x + 0.5) / width}%`, top: `${100 * (point.y + 0.5) / height}%` });
  };

  const repaint = () => {
    sides.forEach((side) => { drawSide(side); legend(side); });
    find("#ramp").hidden = !(view.value === "entropy" || view.value.startsWith("class "));
    fade();
    read();
  };
  const show = () => {
    const first = anyAnswer();
    if (!first) return;
    find("#work").hidden = false;
    drawPicture(first);
    fit(first);
    divide();
    repaint();
  };

  const move = (x, y) => {
    const answer = anyAnswer();
    if (!answer) return;
    const within = (value, size) => Math.min(Math.max(value, 0), size - 1);
    point = { x: within(x, answer.width), y: within(y, answer.height) };
    read();
  };
  const follow = (event) => {
    const answer = anyAnswer();
    if (!answer) return;
    const box = layers.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width;
    find("#point").hidden = true;
    move(Math.floor(x * answer.width), Math.floor(((event.clientY - box.top) / box.height) * answer.height));
    if (!event.buttons) return;
    find("#swipe").value = 100 * x;
    divide();
  };
  const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  layers.addEventListener("pointermove", follow);
  layers.addEventListener("pointerdown", (event) => {
    layers.setPointerCapture(event.pointerId);
    follow(event);
  });
  layers.addEventListener("keydown", (event) => {
    const answer = anyAnswer();
    const step = STEPS[event.key];
    if (!step || !answer) return;
    event.preventDefault();
    point ??= { x: answer.width >> 1, y: answer.height >> 1 };
    find("#point").hidden = false;
    move(...[point.x, point.y].map((value, k) => value + step[k] * (event.shiftKey ? 10 : 1)));
  });

  const offer = (value, textContent) => make("option", { value, textContent });
  const heads = new Set(runs.flatMap((run) => run.heads));
  if (heads.has("mask")) view.append(offer("overlay", "Classes over the picture"), offer("mask", "Mask"));
  if (heads.has("depth")) view.append(offer("depth", "Depth, near is bright"));
  view.append(offer("picture", "Picture"));
  if (heads.has("mask")) {
    const names = new Set(runs.filter((run) => run.heads.includes("mask")).flatMap((run) => run.classes));
    view.append(offer("entropy", "Entropy: 1 where all classes are equally likely"));
    view.append(make("optgroup", { label: "Probability of" }, ...[...names].map((name) => offer(`class ${name}`, name))));
  }
  ["left", "right"].forEach((side, k) => {
    const select = find(`#${side}-run`);
    select.append(...runs.map((run, number) => offer(number, run.name)));
    select.value = Math.min(k, runs.length - 1);
    select.addEventListener("change", predict);
  });
  find("#right-legend").parentElement.hidden = sides.length === 1;
  view.addEventListener("change", repaint);
  find("#opacity").addEventListener("input", fade);
  find("#swipe").addEventListener("input", divide);
  find("#own-size").addEventListener("change", () => fit(anyAnswer()));

  // Pictures come by choice, by dropping them anywhere, or from the clipboard.
  for (const kind of ["picture", "background"]) {
    const input = find(`#${kind}`);
    input?.addEventListener("change", () => {
      take(input.files[0], kind);
      input.value = "";
    });
  }
  const target = (event) => (event.target.closest?.("#drop-background") ? "background" : "picture");
  const mark = (kind) => Report.all(".drop").forEach((one) => one.classList.toggle("over", one.id === `drop-${kind}`));
  addEventListener("dragover", (event) => {
    event.preventDefault();
    mark(target(event));
  });
  addEventListener("dragleave", () => mark(""));
  addEventListener("drop", (event) => {
    event.preventDefault();
    mark("");
    take(event.dataTransfer.files[0], target(event));
  });
  addEventListener("paste", (event) => take(event.clipboardData.files[0]));
});
