// Training replay: the curves of an experiment, epoch by epoch, and the digits that it misreads.

import { colors, context, decode, inked, labeled, make, redrawn, select } from "./dom.js";
import { DIGITS, MINI, RUNS } from "./data/replay.js";

const SIDE = 28;
const BEAT = 900; // milliseconds an epoch
const TICKS = [96, 98, 99, 99.4, 99.7, 99.9];
const [LOWEST, HIGHEST] = [95, 99.93];
const LEFT = 52; // of the curves, in CSS pixels
const BELOW = 26;

const pictures = DIGITS.map(({ label, pixels }) => ({ label, pixels: decode(pixels) }));
let epoch = 0;
let timer = null;

const root = document.getElementById("replay");
const experiment = select(
  Object.entries(RUNS).map(([name, { parameters }]) =>
    [name, `${name.replace("exp", "experiment ")}, ${parameters.toLocaleString("en")} parameters`]),
  "exp1",
);
const play = make("button", { type: "button", className: "md-button" }, "Play");
const slider = make("input", { type: "range", min: 0, step: 1, value: 0 });
const curves = make("canvas", { role: "img" });
const said = make("p", { className: "said" });
const grid = make("canvas", { role: "img" });
const digitsSaid = make("p", { className: "said" });
const live = make("p", { className: "visually-hidden", "aria-live": "polite" });

root.replaceChildren(
  make("div", { className: "bar" }, labeled("Replay", experiment), play,
    labeled("Epoch", slider)),
  make("div", { className: "replayed" },
    make("div", {}, make("figure", {}, curves,
      make("figcaption", {}, "Full MNIST, seed 0: solid is test, dashed is training accuracy")), said),
    make("div", {}, make("figure", {}, grid,
      make("figcaption", {}, `Trained on mnist-mini instead: the ${DIGITS.length} of its ${MINI} ` +
        "test digits that all five misread most often. Misread digits are dark; the number in the " +
        "corner is what was read")),
      digitsSaid)),
  live,
);

const run = () => RUNS[experiment.value];

function show() {
  const { train, test, wrong, changes, mini, digits } = run();
  slider.max = test.length - 1;
  slider.value = epoch; // shown from 1, as in the experiments' tables
  slider.setAttribute("aria-valuetext", `${epoch + 1} of ${test.length}`);
  const [anew, mended] = changes[epoch];
  said.textContent =
    `After epoch ${epoch + 1} of ${test.length}: training ${train[epoch].toFixed(2)} %, test ` +
    `${test[epoch].toFixed(2)} %. ${wrong[epoch]} of 10,000 test images are misread` +
    (epoch ? `: ${anew} anew, and ${mended} no longer.` : ".");
  digitsSaid.textContent =
    `${digits[epoch].length} of these ${DIGITS.length} are misread, and ${mini[epoch]} of all ${MINI}.`;
  curves.setAttribute("aria-label", `Curves. ${said.textContent}`);
  const answers = digits[epoch].map(([i, read]) => `a ${pictures[i].label} as ${read}`).join(", ");
  grid.setAttribute("aria-label", `Digits. ${digitsSaid.textContent} ${answers}`);
  draw();
}

/** Said aloud only when somebody chose, not at every beat. */
function announce() {
  live.textContent = `${said.textContent} ${digitsSaid.textContent}`;
}

// -- pictures -----------------------------------------------------------------------------------

const share = (accuracy) =>
  Math.log((100 - LOWEST) / Math.max(100 - accuracy, 100 - HIGHEST)) /
  Math.log((100 - LOWEST) / (100 - HIGHEST));

function draw() {
  drawCurves();
  drawDigits();
}

function drawCurves() {
  const { ctx, width, height } = context(curves, Math.max(220, curves.clientWidth * 0.66));
  if (width <= LEFT) return;
  const { ink, grid: pale, c1, box } = colors(root);
  const { train, test } = run();
  const x = (at) => LEFT + ((width - LEFT - 8) * at) / (test.length - 1);
  const y = (accuracy) => 8 + (height - BELOW - 8) * (1 - share(accuracy));
  ctx.font = "13px system-ui, sans-serif";
  ctx.fillStyle = ink;
  ctx.textAlign = "right";
  ctx.lineWidth = 1;
  for (const tick of TICKS) {
    ctx.strokeStyle = tick === 99.4 ? ink : pale;
    ctx.setLineDash(tick === 99.4 ? [2, 4] : []);
    path(ctx, [[LEFT, y(tick)], [width, y(tick)]]);
    ctx.fillText(`${tick} %`, LEFT - 6, y(tick) + 4);
  }
  ctx.textAlign = "center";
  for (let at = 0; at < test.length; at += 2) ctx.fillText(`${at + 1}`, x(at), height - 6);
  ctx.save();
  ctx.beginPath();
  ctx.rect(LEFT, 0, width, height - BELOW);
  ctx.clip();
  for (const [values, color, dash] of [[train, box, [6, 4]], [test, c1, []]]) {
    const points = values.map((value, at) => [x(at), y(value)]);
    ctx.strokeStyle = color;
    ctx.setLineDash(dash);
    ctx.globalAlpha = 0.25;
    ctx.lineWidth = 1.5;
    path(ctx, points);
    ctx.globalAlpha = 1;
    ctx.lineWidth = 2.6;
    path(ctx, points.slice(0, epoch + 1));
    ctx.fillStyle = color;
    ctx.beginPath();
    ctx.arc(...points[epoch], 4.5, 0, 2 * Math.PI);
    ctx.fill();
  }
  ctx.restore();
}

function path(ctx, points) {
  ctx.beginPath();
  points.forEach(([px, py], i) => (i ? ctx.lineTo(px, py) : ctx.moveTo(px, py)));
  ctx.stroke();
}

function drawDigits() {
  const columns = grid.clientWidth < 420 ? 10 : 12;
  const side = grid.clientWidth / columns;
  if (side <= 0) return;
  const { ctx } = context(grid, side * Math.ceil(pictures.length / columns));
  const { ink, paper, grid: pale, box } = colors(root);
  const wrong = new Map(run().digits[epoch]);
  ctx.imageSmoothingEnabled = false;
  ctx.font = "bold 13px system-ui, sans-serif";
  ctx.textAlign = "right";
  pictures.forEach(({ pixels }, i) => {
    const [x, y] = [(i % columns) * side, Math.floor(i / columns) * side];
    ctx.globalAlpha = 1;
    ctx.fillStyle = paper;
    ctx.fillRect(x + 1, y + 1, side - 2, side - 2);
    ctx.strokeStyle = wrong.has(i) ? box : pale;
    ctx.lineWidth = wrong.has(i) ? 2 : 1;
    ctx.strokeRect(x + 1.5, y + 1.5, side - 3, side - 3);
    ctx.globalAlpha = wrong.has(i) ? 1 : 0.12;
    ctx.drawImage(inked(pixels, SIDE, ink), x + 2, y + 2, side - 4, side - 4);
    if (!wrong.has(i)) return;
    ctx.fillStyle = paper;
    ctx.fillRect(x + side - 13, y + 3, 10, 14);
    ctx.fillStyle = box;
    ctx.fillText(wrong.get(i), x + side - 4, y + 14);
  });
}

// -- playing ------------------------------------------------------------------------------------

function stop() {
  clearInterval(timer);
  timer = null;
  play.textContent = "Play";
}

play.onclick = () => {
  if (timer !== null) {
    stop();
    announce();
    return;
  }
  if (epoch === run().test.length - 1) epoch = 0;
  play.textContent = "Pause";
  show();
  timer = setInterval(() => {
    epoch += 1;
    show();
    if (epoch === run().test.length - 1) {
      stop();
      announce();
    }
  }, BEAT);
};
slider.oninput = () => {
  stop();
  epoch = Number(slider.value);
  show();
  announce();
};
experiment.onchange = () => {
  epoch = Math.min(epoch, run().test.length - 1);
  show();
  announce();
};
redrawn(root, draw);
show();
