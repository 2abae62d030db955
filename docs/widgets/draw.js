// Draw a digit: the trained reference network answers inside the page.

import { colors, context, decode, inked, labeled, make, redrawn, select, share } from "./dom.js";
import { DIGITS } from "./data/digits.js";
import { NETWORK } from "./data/reference.js";
import { centered, forward, normalize, softmax, unpack } from "./forward.js";
import { parse } from "./network.js";
import { analyze, hull } from "./rf.js";

const SIDE = 140; // of the drawing, in its own pixels
const PEN = 6; // half the width of the pen
const STEP = 5; // that an arrow key moves the pen
const LETTERS = { conv: "c", max: "m", avg: "a" };

const layers = unpack(NETWORK);
// The layers that change what a unit sees, and the last layer of each one's block.
const windows = layers.flatMap((layer, index) => (LETTERS[layer.kind] ? [index] : []));
const lasts = windows.map((_, i) => (windows[i + 1] ?? layers.length) - 1);
const stages = analyze(
  parse(windows.map((index) => LETTERS[layers[index].kind] + layers[index].k).join(".")),
  28,
).slice(1);
const kindName = { conv: "convolution", max: "max-pool", avg: "mean" };
const blocks = windows.map((index, i) => ({
  name: `${i + 1} ${kindName[layers[index].kind]}`,
  output: lasts[i],
  stage: stages[i],
}));

const ink = new Uint8ClampedArray(SIDE * SIDE);
let pen = [SIDE / 2, SIDE / 4];
let down = false;
let keyboard = false;
let pixels = null; // what the network gets, 28 x 28
let outputs = [];
let unit = [0, 0];

const root = document.getElementById("draw");
const whole = root.dataset.page === undefined; // with feature maps, on the page of its own
const pad = make("canvas", {
  className: "square pick pad", tabIndex: 0, role: "application",
  "aria-label": "Drawing. Arrow keys move the pen, the space bar puts it down and lifts it, " +
    "Delete clears.",
});
const seen = make("canvas", { className: "square", role: "img" });
const clear = make("button", { type: "button", className: "md-button" }, "Clear");
const example = select([["", "choose"], ...DIGITS.map((d) => [`${d.digit}`, `${d.digit}`])], "");
const said = make("p", { className: "said", "aria-live": "polite" });
const body = make("tbody");
const block = select(blocks.map((b, i) => [`${i}`, b.name]), "3");
const row = make("input", { type: "range", min: 0, step: 1 });
const column = make("input", { type: "range", min: 0, step: 1 });
const fieldSaid = make("p", { className: "said", "aria-live": "polite" });
const maps = make("div", { className: "maps" });

root.replaceChildren(
  make("div", { className: "thirds" },
    make("div", {}, make("figure", {}, pad, make("figcaption", {}, "Draw here")),
      make("div", { className: "bar" }, clear, labeled("or a real digit", example))),
    make("div", {}, make("figure", {}, seen,
      make("figcaption", {}, "What the network gets: centered, 28 by 28"))),
    make("div", {}, said,
      make("table", { className: "scores" },
        make("caption", {}, "Score of each class, and its share after softmax"), body))),
  ...(whole
    ? [
        make("h2", { id: "maps" }, "Feature maps"),
        make("div", { className: "bar" }, labeled("After layer", block),
          labeled("Row of the unit", row), labeled("Column of the unit", column)),
        fieldSaid,
        maps,
      ]
    : [make("p", {}, make("a", { href: root.dataset.page }, "See what every layer makes of it"))]),
);

const bars = DIGITS.map(({ digit }) => {
  const [score, share, bar] = [make("td"), make("td"), make("span", { className: "share" })];
  body.append(make("tr", {}, make("th", { scope: "row" }, `${digit}`), score, share,
    make("td", { className: "wide", "aria-hidden": "true" }, bar)));
  return { score, share, bar };
});

// -- drawing ------------------------------------------------------------------------------------

function dab([x, y]) {
  for (let dy = -PEN - 1; dy <= PEN + 1; dy++) {
    for (let dx = -PEN - 1; dx <= PEN + 1; dx++) {
      const [px, py] = [Math.round(x) + dx, Math.round(y) + dy];
      if (px < 0 || py < 0 || px >= SIDE || py >= SIDE) continue;
      const value = 255 * (PEN + 0.5 - Math.hypot(dx, dy));
      ink[py * SIDE + px] = Math.max(ink[py * SIDE + px], value);
    }
  }
}

function stroke(to) {
  const steps = Math.max(1, Math.ceil(Math.hypot(to[0] - pen[0], to[1] - pen[1]) / 2));
  const from = pen;
  for (let i = 1; i <= steps; i++) dab(from.map((start, axis) => start + ((to[axis] - start) * i) / steps));
  pen = to;
}

pad.onpointerdown = (event) => {
  pad.setPointerCapture(event.pointerId);
  keyboard = false;
  if (example.value !== "") wipe(); // the first stroke takes the place of a real digit
  down = true;
  pen = share(event, pad).map((s) => s * SIDE);
  stroke(pen);
  think();
};
pad.onpointermove = (event) => {
  if (!down || keyboard) return;
  stroke(share(event, pad).map((s) => s * SIDE));
  think();
};
pad.onpointerup = pad.onpointercancel = () => {
  down = false;
};
pad.onkeydown = (event) => {
  const moves = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };
  if (event.key === "Delete" || event.key === "Backspace") wipe();
  else if (event.key === " ") {
    const begins = !down;
    if (begins && example.value !== "") wipe();
    down = begins;
    if (down) dab(pen);
  } else if (moves[event.key]) {
    const to = pen.map((p, i) => Math.min(SIDE - 1, Math.max(0, p + STEP * moves[event.key][i])));
    if (down) stroke(to);
    else pen = to;
  } else return;
  event.preventDefault();
  keyboard = true;
  think();
};
pad.onblur = () => {
  keyboard = down = false;
  draw();
};

function wipe() {
  ink.fill(0);
  down = false;
  example.value = "";
}

clear.onclick = () => {
  wipe();
  think();
};
example.onchange = () => {
  const chosen = example.value;
  wipe();
  example.value = chosen;
  if (chosen !== "") {
    const digit = decode(DIGITS[Number(chosen)].pixels);
    const scale = SIDE / 28;
    for (let i = 0; i < ink.length; i++) {
      ink[i] = digit[Math.floor(i / SIDE / scale) * 28 + Math.floor((i % SIDE) / scale)];
    }
  }
  think();
};

// -- answers ------------------------------------------------------------------------------------

function think() {
  pixels = centered(ink, SIDE);
  outputs = pixels ? forward(layers, normalize(pixels)) : [];
  if (!pixels) {
    said.textContent = "Nothing is drawn yet.";
    for (const { score, share, bar } of bars) {
      score.textContent = share.textContent = "–";
      bar.style.width = "0";
    }
  } else {
    const scores = outputs.at(-1).values;
    const shares = softmax(scores);
    const best = shares.indexOf(Math.max(...shares));
    said.textContent = `The network answers ${best}, with a share of ${percent(shares[best])}.`;
    bars.forEach(({ score, share, bar }, digit) => {
      score.textContent = scores[digit].toFixed(1);
      share.textContent = percent(shares[digit]);
      bar.style.width = `${100 * shares[digit]}%`;
    });
  }
  choose();
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;

function choose() {
  const { stage } = blocks[Number(block.value)];
  row.max = column.max = stage.count - 1;
  unit = unit.map((u) => Math.min(u, stage.count - 1));
  [row.value, column.value] = unit;
  const [r, c] = unit.map((u) => hull(stage.masks[u]));
  fieldSaid.textContent =
    `After ${blocks[Number(block.value)].name}: the unit in row ${unit[0]}, column ${unit[1]} of ` +
    `${stage.count} by ${stage.count} sees rows ${r[0]} to ${r[1]} and columns ${c[0]} to ${c[1]}.`;
  draw();
}

row.oninput = column.oninput = () => {
  unit = [Number(row.value), Number(column.value)];
  choose();
};
block.onchange = () => {
  const middle = Math.floor(blocks[Number(block.value)].stage.count / 2);
  unit = [middle, middle];
  choose();
};

// -- pictures -----------------------------------------------------------------------------------

function draw() {
  if (!pad.clientWidth) return;
  const color = colors(root);
  const drawn = context(pad);
  drawn.ctx.fillStyle = color.paper;
  drawn.ctx.fillRect(0, 0, drawn.width, drawn.width);
  drawn.ctx.drawImage(inked(ink, SIDE, color.ink), 0, 0, drawn.width, drawn.width);
  if (keyboard) {
    drawn.ctx.strokeStyle = color.box;
    drawn.ctx.lineWidth = down ? 4 : 2;
    drawn.ctx.beginPath();
    drawn.ctx.arc(...pen.map((p) => (p * drawn.width) / SIDE), 9, 0, 7);
    drawn.ctx.stroke();
  }
  const { ctx, width } = context(seen);
  const { stage } = blocks[Number(block.value)];
  ctx.imageSmoothingEnabled = false;
  ctx.fillStyle = color.paper;
  ctx.fillRect(0, 0, width, width);
  if (pixels) ctx.drawImage(inked(pixels, 28, color.ink), 0, 0, width, width);
  if (!whole) {
    seen.setAttribute("aria-label", "The drawing at 28 by 28 pixels.");
    return;
  }
  const [r, c] = unit.map((u) => hull(stage.masks[u]));
  const scale = width / 28;
  ctx.strokeStyle = color.box;
  ctx.lineWidth = 2;
  ctx.strokeRect(c[0] * scale + 1, r[0] * scale + 1, (c[1] - c[0] + 1) * scale - 2, (r[1] - r[0] + 1) * scale - 2);
  seen.setAttribute("aria-label", `The drawing at 28 by 28 pixels. ${fieldSaid.textContent}`);
  drawMaps(color);
}

function drawMaps(color) {
  const output = outputs[blocks[Number(block.value)].output];
  const channels = output?.channels ?? 0;
  while (maps.children.length > channels) maps.lastChild.remove();
  while (maps.children.length < channels) {
    const canvas = make("canvas", { className: "square pick", role: "img" });
    canvas.setAttribute("aria-label", `Feature map ${maps.children.length + 1}`);
    canvas.onpointermove = canvas.onpointerdown = (event) => {
      const { count } = blocks[Number(block.value)].stage;
      const at = share(event, canvas).map((s) => Math.min(count - 1, Math.max(0, Math.floor(s * count))));
      if (unit[1] === at[0] && unit[0] === at[1]) return;
      unit = [at[1], at[0]];
      choose();
    };
    maps.append(canvas);
  }
  for (let channel = 0; channel < channels; channel++) {
    const area = output.side ** 2;
    const values = output.values.subarray(channel * area, (channel + 1) * area);
    const low = values.reduce((a, b) => Math.min(a, b));
    const high = values.reduce((a, b) => Math.max(a, b));
    const gray = values.map((value) => (255 * (value - low)) / (high - low || 1));
    const { ctx, width } = context(maps.children[channel]);
    ctx.imageSmoothingEnabled = false;
    ctx.fillStyle = color.paper;
    ctx.fillRect(0, 0, width, width);
    ctx.drawImage(inked(gray, output.side, color.ink), 0, 0, width, width);
    const cell = width / output.side;
    ctx.strokeStyle = color.box;
    ctx.lineWidth = 2;
    ctx.strokeRect(unit[1] * cell, unit[0] * cell, cell, cell);
  }
}

redrawn(root, draw);
unit = [5, 5];
example.value = "4";
example.onchange();
