// What one unit sees along one axis: the arithmetic of eva/rf/geometry.py and of the joins in
// eva/rf/joins.py, for the layers of the explorer. tests/widgets holds it to `eva.rf`.
//
// A window says what unit u sees, borders aside: taps[u % period], moved by floor(u / period) *
// advance. Taps are ascending arrays of positions. A mask says what a unit sees at this image
// size: a BigInt in which bit i stands for pixel i.

import { equal, fraction, gcd, lcm, minus, plus, text, times } from "./fraction.js";

const LONGEST = 4096; // units after which a pattern must repeat, as in eva/rf/mixtures.py

const sorted = (positions) => [...new Set(positions)].sort((a, b) => a - b);
const moved = (taps, by) => taps.map((position) => position + by);
const span = (taps) => (taps.length ? taps.at(-1) - taps[0] + 1 : 0);
const same = (a, b) => a.length === b.length && a.every((position, i) => position === b[i]);
const range = (count) => Array.from({ length: count }, (_, i) => i);
const mod = (a, b) => ((a % b) + b) % b;

// -- windows ------------------------------------------------------------------------------------

export const jump = (window) => fraction(window.advance, window.period);

export function at(window, unit) {
  const turns = Math.floor(unit / window.period);
  return moved(window.taps[mod(unit, window.period)], turns * window.advance);
}

/** `outer` over the units of `inner`, seen from the inputs of `inner`. */
export function after(outer, inner) {
  const turns = inner.period / gcd(outer.advance, inner.period);
  const period = outer.period * turns;
  const advance = ((outer.advance * turns) / inner.period) * inner.advance;
  const taps = range(period).map((unit) => sorted(at(outer, unit).flatMap((i) => at(inner, i))));
  return simplified({ period, advance, taps });
}

/** Both branches together; null when they move at different speeds. */
export function union(a, b) {
  if (!equal(jump(a), jump(b))) return null;
  const period = lcm(a.period, b.period);
  const advance = a.advance * (period / a.period);
  const taps = range(period).map((unit) => sorted([...at(a, unit), ...at(b, unit)]));
  return simplified({ period, advance, taps });
}

/** The same window with the smallest period. */
export function simplified(window) {
  for (let period = 1; period < window.period; period++) {
    if (window.period % period || (window.advance * period) % window.period) continue;
    const advance = (window.advance * period) / window.period;
    const short = { period, advance, taps: window.taps.slice(0, period) };
    if (window.taps.every((taps, unit) => same(at(short, unit), taps))) return short;
  }
  return window;
}

/** Centers of the phases, each moved back by its jumps; phases that see nothing are left out. */
function centers(window) {
  return window.taps.flatMap((taps, phase) =>
    taps.length ? [minus(fraction(taps[0] + taps.at(-1), 2), times(jump(window), phase))] : [],
  );
}

function drift(window) {
  const found = centers(window);
  if (!found.length) return null;
  const sum = found.reduce(plus);
  return fraction(sum.n, sum.d * found.length);
}

// -- what one layer reads -----------------------------------------------------------------------

const sliding = ({ k, s, p, d }) => ({
  period: 1,
  advance: s,
  taps: [range(k).map((tap) => tap * d - p)],
});

function transposed({ k, s, p, d }) {
  const phase = (unit) =>
    sorted(
      range(k)
        .filter((tap) => mod(unit + p - tap * d, s) === 0)
        .map((tap) => (unit + p - tap * d) / s),
    );
  return simplified({ period: s, advance: 1, taps: range(s).map(phase) });
}

/** Linear interpolation by a whole factor: the two neighbors, or one where the unit is on it. */
function linear(factor) {
  const phase = (unit) => {
    const [n, d] = [2 * unit + 1 - factor, 2 * factor]; // (unit + 1/2) / factor - 1/2
    const low = Math.floor(n / d);
    return mod(n, d) === 0 ? [low] : [low, low + 1];
  };
  return simplified({ period: factor, advance: 1, taps: range(factor).map(phase) });
}

/**
 * How a layer maps the units before it to its own.
 *
 * @returns {{count: number, window: object, reads: (unit: number) => number[]}} `reads` gives
 *   units before the layer, all inside; `window` the same far from every border.
 */
export function layerMap(layer, size) {
  let window, count;
  switch (layer.kind) {
    case "conv":
    case "max":
    case "avg":
      window = sliding(layer);
      count = Math.floor((size + 2 * layer.p - layer.d * (layer.k - 1) - 1) / layer.s) + 1;
      break;
    case "transposed":
      window = transposed(layer);
      count = (size - 1) * layer.s - 2 * layer.p + layer.d * (layer.k - 1) + layer.o + 1;
      break;
    case "nearest":
      window = { period: layer.k, advance: 1, taps: range(layer.k).map(() => [0]) };
      count = size * layer.k;
      break;
    case "bilinear":
      window = linear(layer.k);
      count = size * layer.k;
      break;
    default:
      throw new RangeError(`no rule for a layer of kind ${layer.kind}`);
  }
  const reads = (unit) => at(window, unit).filter((i) => i >= 0 && i < size);
  return { count, window, reads };
}

// -- networks -----------------------------------------------------------------------------------

/** A network does not fit its image: a sentence, the `path` of the layer, the `stages` before it. */
export class NetworkError extends Error {
  stages = [];

  constructor(problem, path) {
    super(problem);
    this.path = path;
  }
}

/**
 * Everything about a network on a square image, along one of its two equal axes.
 *
 * @param {object[]} layers From `parse` of network.js.
 * @param {number} size Side of the image in pixels.
 * @param {number} limit Largest map that is followed, in units a side.
 * @returns {object[]} Stages: the image, then every layer; a residual branch gives the stages of
 *   its body and then its sum. A stage has `path` (such as "3.1"), `layer` (null for the image),
 *   `depth`, `count`, `window` (null where no pattern repeats), `masks`, `misaligned`, and `from`:
 *   {stage, reads} for each stage that it is made of.
 * @throws {NetworkError} A map would be empty or too large, or the branches of a sum don't match.
 */
export function analyze(layers, size, limit = 1024) {
  const image = {
    path: "",
    layer: null,
    depth: 0,
    count: size,
    window: { period: 1, advance: 1, taps: [[0]] },
    masks: range(size).map((i) => 1n << BigInt(i)),
    misaligned: false,
    from: [],
  };
  const stages = [image];
  try {
    follow(layers, stages, "", 0, limit);
  } catch (error) {
    if (error instanceof NetworkError) error.stages = stages;
    throw error;
  }
  return stages;
}

function follow(layers, stages, prefix, depth, limit) {
  layers.forEach((layer, index) => {
    const path = prefix + (index + 1);
    if (layer.kind !== "residual") {
      stages.push(step(layer, stages, stages.length - 1, path, depth, limit));
      return;
    }
    const before = stages.length - 1;
    follow(layer.body, stages, `${path}.`, depth + 1, limit);
    const short = { kind: "conv", k: 1, s: layer.s, p: 0, d: 1 };
    const shortcut = step(short, stages, before, path, depth, limit);
    stages.push(sum(layer, stages, shortcut, path, depth));
  });
}

function step(layer, stages, from, path, depth, limit) {
  const input = stages[from];
  const { count, window: own, reads } = layerMap(layer, input.count);
  if (count < 1) {
    throw new NetworkError(
      `Layer ${path} has no room: its window does not fit into a map of ${input.count} by ` +
        `${input.count} units. Make the image larger, the kernel smaller, or pad.`,
      path,
    );
  }
  if (count > limit) {
    throw new NetworkError(
      `Layer ${path} gives ${count} by ${count} units; this page follows maps up to ${limit}.`,
      path,
    );
  }
  const masks = range(count).map((unit) =>
    reads(unit).reduce((mask, i) => mask | input.masks[i], 0n),
  );
  let window = input.window && after(own, input.window);
  if (window && window.period > LONGEST) window = null;
  const { misaligned } = input;
  return { path, layer, depth, count, window, masks, misaligned, from: [{ stage: from, reads }] };
}

function sum(layer, stages, shortcut, path, depth) {
  const last = stages.length - 1;
  const body = stages[last];
  if (body.count !== shortcut.count) {
    throw new NetworkError(
      `Residual ${path}: the branch ends with ${body.count} by ${body.count} units, the shortcut ` +
        `with ${shortcut.count}. Pad the branch's convolutions, or change the shortcut's stride.`,
      path,
    );
  }
  if ([...body.masks, ...shortcut.masks].includes(0n)) {
    throw new NetworkError(
      `Residual ${path}: some units before the sum see nothing of the image. This page follows ` +
        "rows and columns apart and can't join such branches; eva.rf can.",
      path,
    );
  }
  let window = null;
  let misaligned = body.misaligned || shortcut.misaligned;
  if (body.window && shortcut.window) {
    window = union(body.window, shortcut.window);
    const [a, b] = [drift(body.window), drift(shortcut.window)];
    const aligned = a === null || b === null || (window !== null && equal(a, b));
    misaligned ||= !aligned;
  }
  return {
    path,
    layer,
    depth,
    count: body.count,
    window,
    masks: body.masks.map((mask, unit) => mask | shortcut.masks[unit]),
    misaligned,
    from: [{ stage: last, reads: (unit) => [unit] }, ...shortcut.from],
  };
}

// -- numbers ------------------------------------------------------------------------------------

/** First and last pixel that a unit sees, both included; null for nothing. */
export function hull(mask) {
  if (mask === 0n) return null;
  const digits = mask.toString(2);
  return [digits.length - 1 - digits.lastIndexOf("1"), digits.length - 1];
}

const pixels = (mask) => mask.toString(2).replaceAll("0", "").length;

/**
 * The numbers of a stage, named and defined as in `eva.rf.AxisField`; fractions as text.
 *
 * Where a pattern repeats, sizes are those far from every border; otherwise those of the units
 * that there are.
 */
export function numbers(stage, imageSize) {
  const hulls = stage.masks.map(hull);
  const full = (1n << BigInt(imageSize)) - 1n;
  let size, minSize, step, start, density;
  let status = "exact";
  if (stage.window) {
    const spans = stage.window.taps.map(span);
    [size, minSize, step] = [Math.max(...spans), Math.min(...spans), jump(stage.window)];
    start = centers(stage.window)[0] ?? null;
    const widest = stage.window.taps.filter((taps) => span(taps) === size);
    density = size ? fraction(Math.max(...widest.map((t) => t.length)), size) : fraction(0);
  } else {
    const spans = hulls.map((h) => (h ? h[1] - h[0] + 1 : 0));
    [size, minSize] = [Math.max(...spans), Math.min(...spans)];
    const seen = stage.masks.filter((_, unit) => spans[unit] === size).map(pixels);
    density = size ? fraction(Math.max(...seen), size) : fraction(0);
    const still = hulls.every((h) => String(h) === String(hulls[0]));
    step = still ? fraction(0) : null;
    start = still && hulls[0] ? fraction(hulls[0][0] + hulls[0][1], 2) : null;
    if (stage.masks.every((mask) => mask === full)) status = "whole-input";
  }
  const padding = start && step && minus(fraction(size - 1, 2), start);
  const show = (number) => number && text(number);
  return {
    count: stage.count,
    size,
    min_size: minSize,
    jump: show(step),
    start: show(start),
    padding: show(padding),
    density: text(density),
    status,
    misaligned: stage.misaligned,
    hulls,
  };
}

/** For every stage, the set of its units that the chosen unit is made of. */
export function seenBy(stages, chosen, unit) {
  const seen = stages.map(() => new Set());
  seen[chosen].add(unit);
  for (let i = chosen; i > 0; i--) {
    for (const { stage, reads } of stages[i].from) {
      for (const own of seen[i]) for (const read of reads(own)) seen[stage].add(read);
    }
  }
  return seen;
}
