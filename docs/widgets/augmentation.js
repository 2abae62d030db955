// Augmentation: what the trainer would make of ten digits, and what the network reads in them.

import { colors, context, copy, decode, inked, labeled, make, redrawn, select } from "./dom.js";
import { LIMITS } from "./data/augmentation.js";
import { DIGITS } from "./data/digits.js";
import { NETWORK } from "./data/reference.js";
import { forward, normalize, unpack } from "./forward.js";
import { drawn, randomNumbers, recipeLine, resample } from "./warp.js";

const SIDE = 28;
const EACH = 4; // draws of each digit
const GAP = 3; // pixels between two pictures
const REST = 150; // milliseconds that a slider has to stand still before the network reads
const PARTS = [
  { name: "rotation", text: "Rotation, at most", unit: "°", max: 45, step: 1 },
  { name: "shear", text: "Shear, at most", unit: "°", max: 45, step: 1 },
  { name: "scale", text: "Scale, at most", unit: " %", max: 50, step: 1, per: 100 },
  { name: "shift", text: "Shift, at most", unit: " px", max: 10, step: 0.1 },
];
const PRESETS = {
  ...LIMITS,
  none: { text: "nothing", rotation: 0, shear: 0, scale: 0, shift: 0, interpolation: "bilinear" },
  much: { text: "far too much", rotation: 45, shear: 45, scale: 0.5, shift: 10, interpolation: "bilinear" },
};

const layers = unpack(NETWORK);
const digits = DIGITS.map(({ digit, pixels }) => {
  const values = decode(pixels);
  return { digit, pixels: values, answer: read(values) };
});
let seed = 1;
let shown = []; // { digit, pixels, answer } row by row; the first row is not augmented
let readTimer = 0;

const root = document.getElementById("augmentation");

const sliders = PARTS.map(({ text, max, step }) => {
  const value = make("output");
  const slider = make("input", { type: "range", min: 0, max, step });
  return { slider, value, field: labeled(text, make("span", { className: "slide" }, slider, value)) };
});
const preset = select(
  [["", "your own"], ...Object.entries(PRESETS).map(([name, { text }]) => [name, text])], "exp5",
);
const interpolation = select([["bilinear", "bilinear"], ["nearest", "nearest pixel"]], "bilinear");
const again = make("button", { type: "button", className: "md-button" }, "Draw again");
const line = make("code", { className: "line" });
const copied = make("p", { className: "said", "aria-live": "polite" });
const copyLine = make("button", { type: "button", className: "md-button" }, "Copy this line");
const said = make("p", { className: "said", "aria-live": "polite" });
const canvas = make("canvas", { className: "digits", role: "img", ariaLabel: "Augmented digits" });

root.replaceChildren(
  make("div", { className: "bar" }, labeled("Limits of", preset),
    labeled("Interpolation", interpolation), again),
  make("div", { className: "bar" }, ...sliders.map(({ field }) => field)),
  make("div", { className: "bar" }, line, copyLine),
  copied,
  canvas,
  said,
);

/** The limits as a recipe has them: a scale is a share. */
function limits() {
  return Object.fromEntries(PARTS.map(({ name, per = 1 }, i) =>
    [name, Number((Number(sliders[i].slider.value) / per).toFixed(3))]));
}

/** What is cheap enough to be done while a slider moves. */
function show() {
  PARTS.forEach(({ unit, step }, i) => {
    const { slider, value } = sliders[i];
    value.textContent = `${Number(slider.value).toFixed(step < 1 ? 1 : 0)}${unit}`;
    slider.setAttribute("aria-valuetext", value.textContent);
  });
  const random = randomNumbers(seed);
  shown = [...digits];
  for (let i = 0; i < EACH; i++) {
    for (const { digit, pixels } of digits) {
      const moved = resample(pixels, SIDE, drawn(limits(), random), interpolation.value);
      shown.push({ digit, pixels: moved, answer: null });
    }
  }
  line.textContent = recipeLine(limits(), interpolation.value);
  copied.textContent = "";
  draw();
}

function think() {
  clearTimeout(readTimer);
  show();
  answer();
}

const AT_ONCE = 4; // digits that are read before the page may answer to somebody

/** Reads all draws, a few at a time; a new set of draws ends it. */
async function answer() {
  const drawings = shown.slice(digits.length);
  said.textContent = "Reading ...";
  for (let i = 0; i < drawings.length; i++) {
    if (i % AT_ONCE === 0) await new Promise((resume) => setTimeout(resume));
    if (drawings[0] !== shown[digits.length]) return;
    drawings[i].answer = read(drawings[i].pixels);
  }
  const wrong = drawings.filter(({ digit, answer }) => digit !== answer);
  const count = drawings.length;
  said.textContent = wrong.length
    ? `The reference network misreads ${wrong.length} of these ${count}: ` +
      `${wrong.map(({ digit, answer }) => `a ${digit} as ${answer}`).join(", ")}.`
    : `The reference network reads all ${count}.`;
  canvas.setAttribute("aria-label",
    `Ten digits as they are, and ${EACH} draws of each below. ${said.textContent}`);
  draw();
}

function read(pixels) {
  const scores = forward(layers, normalize(pixels)).at(-1).values;
  return scores.indexOf(Math.max(...scores));
}

function draw() {
  const columns = digits.length;
  const rows = shown.length / columns;
  const side = (canvas.clientWidth - GAP * (columns - 1)) / columns;
  if (side <= 0) return;
  const { ctx } = context(canvas, rows * side + GAP * rows + GAP);
  const { ink, paper, grid, box } = colors(root);
  ctx.imageSmoothingEnabled = false;
  shown.forEach(({ digit, pixels, answer }, i) => {
    const row = Math.floor(i / columns);
    const [x, y] = [(i % columns) * (side + GAP), row * (side + GAP) + (row ? GAP : 0)];
    ctx.fillStyle = paper;
    ctx.fillRect(x, y, side, side);
    ctx.drawImage(inked(pixels, SIDE, ink), x, y, side, side);
    const misread = answer !== null && answer !== digit;
    ctx.lineWidth = misread ? 2.5 : 1;
    ctx.strokeStyle = misread ? box : grid;
    ctx.strokeRect(x + 1, y + 1, side - 2, side - 2);
  });
}

function take(name) {
  PARTS.forEach((part, i) => {
    sliders[i].slider.value = PRESETS[name][part.name] * (part.per ?? 1);
  });
  interpolation.value = PRESETS[name].interpolation;
  think();
}

for (const { slider } of sliders) {
  slider.oninput = () => {
    preset.value = "";
    clearTimeout(readTimer);
    readTimer = setTimeout(answer, REST);
    show();
  };
}
preset.onchange = () => {
  if (preset.value) take(preset.value);
};
interpolation.onchange = () => {
  preset.value = "";
  think();
};
again.onclick = () => {
  seed += 1;
  think();
};
copyLine.onclick = async () => {
  copied.textContent = await copy(line.textContent, "The line");
};
redrawn(canvas, draw);
take("exp5");
