// The explorer's three pictures: the image through the unit's eyes, the map, the cross-section.

import { context, decode, inked } from "./dom.js";
import { DIGITS } from "./data/digits.js";
import { fraction, value } from "./fraction.js";
import { NAMES } from "./network.js";
import { at, seenBy } from "./rf.js";

export const ROW = 22; // height of a layer in the cross-section

// A digit on an image of so many pixels a side; what the unit does not see is dimmed.
export function drawImage(canvas, color, digit, pixels, stage, unit) {
  const { ctx, width } = context(canvas);
  const scale = width / pixels;
  const ink = inked(decode(DIGITS[digit].pixels), 28, color.ink);
  ctx.imageSmoothingEnabled = pixels > 56;
  const paint = () => {
    ctx.fillStyle = color.paper;
    ctx.fillRect(0, 0, width, width);
    ctx.drawImage(ink, 0, 0, width, width);
  };
  paint();
  ctx.globalAlpha = 0.72;
  ctx.fillStyle = color.grid;
  ctx.fillRect(0, 0, width, width);
  ctx.globalAlpha = 1;
  const [down, across] = unit.map((u) => runs(stage.masks[u], pixels));
  ctx.save();
  ctx.beginPath();
  for (const [y, y2] of down) {
    for (const [x, x2] of across) ctx.rect(x * scale, y * scale, (x2 - x) * scale, (y2 - y) * scale);
  }
  ctx.clip();
  paint();
  ctx.restore();
  if (!down.length || !across.length) return;
  const [top, bottom] = [down[0][0], down.at(-1)[1]];
  const [left, right] = [across[0][0], across.at(-1)[1]];
  ctx.strokeStyle = color.box;
  ctx.lineWidth = 2.5;
  ctx.strokeRect(left * scale, top * scale, (right - left) * scale, (bottom - top) * scale);
}

// All units of a layer, and the chosen one.
export function drawMap(canvas, color, stage, unit) {
  const { ctx, width } = context(canvas);
  const cell = width / stage.count;
  const gap = cell > 5 ? 1 : 0;
  ctx.fillStyle = color.grid;
  if (!gap) ctx.fillRect(0, 0, width, width);
  for (let r = 0; gap && r < stage.count; r++) {
    for (let c = 0; c < stage.count; c++) ctx.fillRect(c * cell, r * cell, cell - gap, cell - gap);
  }
  ctx.fillStyle = color.box;
  const mark = Math.max(cell - gap, 4);
  ctx.fillRect(unit[1] * cell, unit[0] * cell, mark, mark);
}

// Every layer as a row of units, and what the chosen one is made of. Returns the function that maps
// a position of the image to x.
export function drawCut(canvas, color, font, pixels, stages, stage, unit) {
  const { ctx, width } = context(canvas, stages.length * ROW + 8);
  const wide = width > 520;
  const label = wide ? 150 : 64;
  const ends = stages.flatMap((s) => [center(s, 0, pixels), center(s, s.count - 1, pixels)]);
  const [low, high] = [Math.min(...ends) - 0.5, Math.max(...ends) + 0.5];
  const scale = (width - label) / (high - low);
  const place = (position) => label + (position - low) * scale;
  const seen = seenBy(stages, stages.indexOf(stage), unit[1]);
  ctx.font = `12px ${font}`;
  ctx.textBaseline = "middle";
  stages.forEach((s, row) => {
    const y = row * ROW + ROW / 2 + 4;
    const name = s.layer ? (wide ? `${s.path} ${NAMES[s.layer.kind]}` : `${s.path} ${s.layer.kind}`) : "image";
    ctx.fillStyle = s === stage ? color.box : color.ink;
    ctx.fillText(name, 2, y, label - 8);
    const length = center(s, s.count - 1, pixels) - center(s, 0, pixels);
    const between = s.count > 1 ? length / (s.count - 1) : 1;
    const size = Math.max(1.5, Math.min(between * scale - 1, 13));
    for (let u = 0; u < s.count; u++) {
      ctx.fillStyle = s === stage && u === unit[1] ? color.box : seen[row].has(u) ? color.c1 : color.grid;
      ctx.fillRect(place(center(s, u, pixels)) - size / 2, y - 6.5, size, 13);
    }
  });
  return place;
}

// Center of what a unit sees, in pixels of the image.
export function center(stage, u, pixels) {
  if (!stage.window) return ((u + 0.5) * pixels) / stage.count - 0.5;
  const taps = at(stage.window, u);
  return taps.length ? (taps[0] + taps.at(-1)) / 2 : value(fraction(u * stage.window.advance, stage.window.period));
}

// [first, end) of each run of ones in a mask of so many bits.
function runs(mask, bits) {
  const found = [];
  for (let i = 0; i < bits; i++) {
    if (!((mask >> BigInt(i)) & 1n)) continue;
    if (found.length && found.at(-1)[1] === i) found.at(-1)[1]++;
    else found.push([i, i + 1]);
  }
  return found;
}
