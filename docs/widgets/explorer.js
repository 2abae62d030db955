// The receptive-field explorer: builds its controls inside #explorer and keeps the network in the
// address, so that a link shares it.

import { colors, copy, labeled, make, redrawn, select, share } from "./dom.js";
import { DIGITS } from "./data/digits.js";
import {
  FIELDS, FIELD_NAMES, MOST, NAMES, PRESETS, ParseError, format, newLayer, parse, refused, weights,
} from "./network.js";
import { ROW, center, drawCut, drawImage, drawMap } from "./pictures.js";
import { NetworkError, analyze, hull, numbers } from "./rf.js";

const [SMALLEST, LARGEST] = [4, 256]; // side of the image in pixels
const HEADS = ["layer", "settings", "map", "field", "jump", "padding", "starts at", "weights", "change"];

const root = document.getElementById("explorer");
// On its own page the address holds the network; inside a lesson it must not.
const own = root.dataset.page === undefined;
let net = { layers: [], size: 28 };
let digit = 4;
let chosen = ""; // path of a layer; "" is the image
let unit = [0, 0];
let stages = [];
let addressTimer = 0;

// -- controls -----------------------------------------------------------------------------------

const preset = select([["", "your own"], ...PRESETS.map((p) => [p.id, p.name])], "");
const side = make("input", { type: "number", min: SMALLEST, max: LARGEST, step: 1 });
const picture = select(DIGITS.map((d) => [`${d.digit}`, `${d.digit}`]), `${digit}`);
const link = make("button", { type: "button", className: "md-button" }, "Copy the link");
const problem = make("p", { className: "problem", role: "alert" });
const body = make("tbody");
const kind = select(Object.entries(NAMES), "conv");
const add = make("button", { type: "button", className: "md-button" }, "Add");
const rows = make("input", { type: "range", min: 0, step: 1 });
const columns = make("input", { type: "range", min: 0, step: 1 });
const said = make("p", { className: "said", "aria-live": "polite" });
const total = make("p", { className: "said" });
const note = make("p", { className: "said", "aria-live": "polite" });
const image = make("canvas", { role: "img", className: "square" });
const map = make("canvas", { role: "img", className: "square pick" });
const cut = make("canvas", { role: "img", className: "pick" });
const mapTitle = make("figcaption");

const head = make("tr", {}, ...HEADS.map((text) => make("th", { scope: "col" }, text)));
const table = make("table", { className: "layers" }, make("thead", {}, head), body);
root.replaceChildren(
  make("div", { className: "bar" }, labeled("Network", preset), labeled("Image side", side),
    labeled("Digit", picture), link),
  problem,
  make("div", { className: "halves" },
    make("div", {},
      make("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": "Layers" }, table),
      make("div", { className: "bar" }, labeled("New layer at the end", kind), add), total, note),
    make("div", { className: "seen" },
      said,
      make("div", { className: "pair" },
        make("figure", {}, image, make("figcaption", {}, "What the unit sees")),
        make("figure", {}, map, mapTitle)),
      make("div", { className: "bar" }, labeled("Row of the unit", rows),
        labeled("Column of the unit", columns)))),
  make(own ? "h2" : "h3", { id: "cross-section" }, "Cross-section"),
  make("p", {}, "Every row is a layer, every mark a unit at the place of its center. Point at any " +
    "unit: everything that it is made of lights up, up to the image."),
  cut,
);

preset.onchange = () => {
  const found = PRESETS.find((p) => p.id === preset.value);
  if (found) load(parse(found.net), found.size);
};
side.onchange = () => {
  const wanted = Math.round(Number(side.value)) || net.size;
  net.size = Math.min(LARGEST, Math.max(SMALLEST, wanted));
  side.value = net.size;
  update();
};
picture.onchange = () => {
  digit = Number(picture.value);
  draw();
  remember();
};
link.onclick = async () => {
  if (own) write();
  const page = own ? location.href : new URL(root.dataset.page, location.href);
  note.textContent = await copy(new URL(hash(), page).href, "Link");
};
add.onclick = () => {
  insert(net.layers);
};
rows.oninput = columns.oninput = () => move([Number(rows.value), Number(columns.value)]);

// -- the table of layers ------------------------------------------------------------------------

function build() {
  body.replaceChildren(...rowsOf(net.layers, ""));
  body.prepend(numberRow("", 0, "image", []));
}

function rowsOf(layers, prefix) {
  return layers.flatMap((layer, index) => {
    const path = `${prefix}${index + 1}`;
    const depth = prefix.split(".").length - 1;
    const actions = [
      action("↑", `Move layer ${path} up`, index > 0, () => swap(layers, index, index - 1)),
      action("↓", `Move layer ${path} down`, index < layers.length - 1, () =>
        swap(layers, index, index + 1)),
      action("×", `Remove layer ${path}`, true, () => layers.splice(index, 1)),
    ];
    if (layer.kind !== "residual") {
      return [numberRow(path, depth, `${path} ${NAMES[layer.kind]}`, settings(layer, path), actions)];
    }
    const more = action("+", `Add the new layer to branch ${path}`, true, () => {
      insert(layer.body);
      return true;
    });
    const open = make("tr", { className: "open" },
      make("th", { scope: "row", style: `padding-inline-start:${depth + 0.4}em` }, `${path} branch`),
      make("td", {}, make("span", { className: "settings" }, ...settings(layer, path))),
      make("td", { colSpan: 6 }, "begins; its shortcut has this stride"),
      make("td", {}, more, ...actions));
    return [open, ...rowsOf(layer.body, `${path}.`), numberRow(path, depth, `${path} residual sum`, [])];
  });
}

function numberRow(path, depth, name, inputs, actions = []) {
  const radio = make("input", { type: "radio", name: "layer", value: path, checked: path === chosen });
  radio.onchange = () => choose(path);
  const cells = HEADS.slice(2, 7).map(() => make("td", { className: "number" }));
  cells.push(make("td", { className: "weights" }));
  const label = make("label", {}, radio, ` ${name}`);
  const row = make("tr", {},
    make("th", { scope: "row", style: `padding-inline-start:${depth + 0.4}em` }, label),
    make("td", {}, make("span", { className: "settings" }, ...inputs)),
    ...cells,
    make("td", {}, ...actions));
  row.dataset.path = path;
  return row;
}

function settings(layer, path) {
  return Object.entries(FIELDS[layer.kind]).map(([name, [min, max]]) => {
    const text = name === "k" && ["nearest", "bilinear"].includes(layer.kind) ? "factor" : FIELD_NAMES[name];
    const input = make("input", { type: "number", min, max, step: 1, value: layer[name] });
    input.setAttribute("aria-label", `${text} of layer ${path}`);
    input.onchange = () => {
      const before = layer[name];
      layer[name] = Math.min(max, Math.max(min, Math.round(Number(input.value)) || min));
      const why = refused(layer);
      if (why) layer[name] = before;
      input.value = layer[name];
      note.textContent = why ? `Not changed: ${why}.` : "";
      update();
    };
    return make("label", {}, make("small", {}, text), input);
  });
}

function action(sign, name, enabled, act) {
  const button = make("button", { type: "button", disabled: !enabled, title: name }, sign);
  button.setAttribute("aria-label", name);
  button.onclick = () => {
    if (act() !== true) {
      const at = [...body.rows].indexOf(button.closest("tr"));
      build();
      update();
      refocus(name, sign, at);
    }
  };
  return button;
}

/** After the table was built anew: the same button, or that of the row in its place. */
function refocus(name, sign, at) {
  const buttons = [...body.querySelectorAll("button:enabled")];
  const same = buttons.find((b) => b.getAttribute("aria-label") === name && b.textContent === sign);
  const near = body.rows[Math.min(at, body.rows.length - 1)]?.querySelector("button:enabled");
  ((sign === "×" ? near : same ?? near) ?? add).focus();
}

function swap(layers, a, b) {
  [layers[a], layers[b]] = [layers[b], layers[a]];
}

const countLayers = (layers) =>
  layers.reduce((sum, layer) => sum + 1 + countLayers(layer.body ?? []), 0);

function insert(layers) {
  if (countLayers(net.layers) + 2 > MOST) {
    note.textContent = `This page follows up to ${MOST} layers.`;
    return;
  }
  const layer = newLayer(kind.value);
  layers.push(layer);
  try {
    parse(format(net.layers));
  } catch (error) {
    layers.pop();
    note.textContent = `Not added: ${error.message}`;
    return;
  }
  build();
  update();
  note.textContent = `Added: ${NAMES[layer.kind]}.`;
}

// -- state --------------------------------------------------------------------------------------

function load(layers, size, path = null, at = null) {
  net = { layers, size };
  side.value = size;
  chosen = path ?? `${layers.length || ""}`;
  unit = at ?? [-1, -1];
  build();
  update();
}

function update() {
  problem.textContent = "";
  let wrong = null;
  try {
    stages = analyze(net.layers, net.size);
  } catch (error) {
    if (!(error instanceof NetworkError)) throw error;
    ({ stages, path: wrong } = error);
    problem.textContent = error.message;
  }
  const text = format(net.layers);
  preset.value = PRESETS.find((p) => p.net === text && p.size === net.size)?.id ?? "";
  const { found: counts } = weights(net.layers);
  const all = Object.values(counts).reduce((sum, count) => sum + count, 0);
  total.textContent = `All weights: ${all.toLocaleString("en")}, without biases and BatchNorms.`;
  for (const row of body.rows) {
    const { path } = row.dataset;
    const cell = row.querySelector(".weights");
    if (cell) cell.textContent = (counts[path] ?? 0).toLocaleString("en");
    row.classList.toggle("wrong", wrong !== null && path === wrong);
    if (path === undefined) continue;
    const stage = stageOf(path);
    const found = stage && numbers(stage, net.size);
    const none = "–";
    const shown = found
      ? [`${found.count}×${found.count}`, size2(found), found.jump ?? none, found.padding ?? none, found.start ?? none]
      : Array(5).fill(none);
    row.querySelectorAll(".number").forEach((cell, i) => (cell.textContent = shown[i]));
    row.querySelector("input[type=radio]").disabled = !stage;
  }
  if (!stageOf(chosen)) chosen = stages.at(-1).path;
  choose(chosen);
}

const size2 = (found) =>
  `${found.size}×${found.size}${found.density === "1" ? "" : " *"}${found.misaligned ? " †" : ""}`;
const stageOf = (path) => stages.find((stage) => stage.path === path);

function choose(path) {
  chosen = path;
  for (const row of body.rows) {
    row.classList.toggle("chosen", row.dataset.path === path);
    const radio = row.querySelector("input[type=radio]");
    if (radio) radio.checked = row.dataset.path === path;
  }
  const { count } = stageOf(path);
  rows.max = columns.max = count - 1;
  const middle = Math.floor(count / 2);
  move(unit.map((u) => (u < 0 || u >= count ? middle : u)));
}

function move(to) {
  unit = to;
  [rows.value, columns.value] = to;
  said.textContent = sentence();
  draw();
  remember();
}

function sentence() {
  const stage = stageOf(chosen);
  const name = stage.layer ? `Layer ${stage.path}, ${NAMES[stage.layer.kind]}` : "Image";
  const place = `${name}: unit in row ${unit[0]}, column ${unit[1]} of ${stage.count} by ${stage.count}`;
  const [r, c] = unit.map((u) => hull(stage.masks[u]));
  if (!r || !c) return `${place} sees nothing of the image.`;
  const count = ([first, last]) => last - first + 1;
  const notes = [];
  const found = numbers(stage, net.size);
  if (found.density !== "1") notes.push(" With gaps inside (*).");
  if (found.misaligned) notes.push(" Branches of unequal centers were joined (†).");
  return `${place} sees rows ${r[0]} to ${r[1]} and columns ${c[0]} to ${c[1]}: ` +
    `${count(r)} by ${count(c)} pixels.${notes.join("")}`;
}

// -- the address --------------------------------------------------------------------------------

function remember() {
  clearTimeout(addressTimer);
  if (own) addressTimer = setTimeout(write, 500);
}

function write() {
  clearTimeout(addressTimer);
  history.replaceState(null, "", hash());
}

const hash = () =>
  `#size=${net.size}&net=${format(net.layers)}&layer=${chosen}&unit=${unit.join(",")}&digit=${digit}`;

function read() {
  const asked = new URLSearchParams(location.hash.slice(1));
  const [first] = PRESETS;
  if (!own && stages.length) return; // an anchor of the lesson, no network
  if (!own || !asked.has("net")) {
    load(parse(root.dataset.net ?? first.net), first.size, root.dataset.net ? null : "4", [5, 5]);
    return;
  }
  try {
    const layers = parse(asked.get("net"));
    const size = Number(asked.get("size"));
    if (!(Number.isInteger(size) && size >= SMALLEST && size <= LARGEST)) {
      throw new ParseError(`an image has ${SMALLEST} to ${LARGEST} pixels a side.`);
    }
    const shown = Number(asked.get("digit") ?? digit);
    digit = DIGITS[shown] ? shown : digit;
    picture.value = `${digit}`;
    const at = (asked.get("unit") ?? "").split(",").map(Number);
    const good = at.length === 2 && at.every((u) => Number.isInteger(u) && u >= 0);
    load(layers, size, asked.get("layer"), good ? at : null);
  } catch (error) {
    if (!(error instanceof ParseError)) throw error;
    load(parse(first.net), first.size);
    problem.textContent = `The network in the link can't be read: ${error.message}`;
  }
}

// -- pictures -----------------------------------------------------------------------------------

let place = null; // maps a position of the image to x in the cross-section

function draw() {
  if (!image.clientWidth || !stages.length) return;
  const color = colors(root);
  const stage = stageOf(chosen);
  drawImage(image, color, digit, net.size, stage, unit);
  drawMap(map, color, stage, unit);
  place = drawCut(cut, color, getComputedStyle(root).fontFamily, net.size, stages, stage, unit);
  mapTitle.textContent = stage.layer
    ? `Units of layer ${stage.path}: point at one`
    : "Units of the image: its pixels";
  image.setAttribute("aria-label", `A handwritten ${digit}. ${said.textContent}`);
  map.setAttribute("aria-label", `Map of ${stage.count} by ${stage.count} units; one is chosen.`);
  cut.setAttribute("aria-label", `Cross-section of ${stages.length - 1} layers. ${said.textContent}`);
}

map.onpointermove = map.onpointerdown = (event) => {
  const { count } = stageOf(chosen);
  const [x, y] = share(event, map).map((s) => Math.min(count - 1, Math.max(0, Math.floor(s * count))));
  if (unit[0] !== y || unit[1] !== x) move([y, x]);
};

cut.onpointermove = cut.onpointerdown = (event) => {
  const box = cut.getBoundingClientRect();
  const x = event.clientX - box.left;
  const stage = stages[Math.floor((event.clientY - box.top - 4) / ROW)];
  if (!stage || !place) return;
  let best = 0;
  const off = (u) => Math.abs(place(center(stage, u, net.size)) - x);
  for (let u = 1; u < stage.count; u++) if (off(u) < off(best)) best = u;
  if (stage.path === chosen && unit[1] === best) return;
  unit = [stage.path === chosen ? unit[0] : -1, best];
  choose(stage.path);
};

window.addEventListener("hashchange", read);
redrawn(root, draw);
read();
