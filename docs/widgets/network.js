// Networks as text, so that a link can hold one: "c3.c3.m2.r1(c3p1.c3p1).b2".
//
// A layer is a letter and a number, and then only what differs from the usual:
//   c3s1p0d1w8  convolution: kernel, stride, padding, dilation, channels
//   m2s2p0      max-pool; the stride is the kernel unless it is given
//   a2s2p0      average pool
//   t2s2p0d1o0w8  transposed convolution: stride as a pool's; o is the output padding
//   n2, b2      upsampling by 2: nearest, bilinear
//   r1(c3p1)    residual: the stride of the shortcut, then the branch

const KINDS = { c: "conv", m: "max", a: "avg", t: "transposed", n: "nearest", b: "bilinear" };
const LETTERS = Object.fromEntries(Object.entries(KINDS).map(([letter, kind]) => [kind, letter]));
const LAYER = /^([cmatnb])(\d+)((?:[spdow]\d+)*)/;
const DEEPEST = 2; // residual branches in one another
export const MOST = 64; // layers, all branches together

/** What may be set of each kind: name, smallest and largest value. */
export const FIELDS = {
  conv: { k: [1, 31], s: [1, 8], p: [0, 31], d: [1, 16], w: [1, 1024] },
  max: { k: [1, 31], s: [1, 8], p: [0, 15] },
  avg: { k: [1, 31], s: [1, 31], p: [0, 15] },
  transposed: { k: [1, 31], s: [1, 8], p: [0, 31], d: [1, 16], o: [0, 7], w: [1, 1024] },
  nearest: { k: [2, 4] },
  bilinear: { k: [2, 4] },
  residual: { s: [1, 8] },
};

export const NAMES = {
  conv: "convolution",
  max: "max-pool",
  avg: "average pool",
  transposed: "transposed convolution",
  nearest: "nearest upsampling",
  bilinear: "bilinear upsampling",
  residual: "residual sum",
};

export const FIELD_NAMES = {
  k: "kernel",
  s: "stride",
  p: "padding",
  d: "dilation",
  o: "output padding",
  w: "channels",
};

/** A network that can't be read: the message says where. */
export class ParseError extends Error {}

const usual = (kind, k) => ({
  kind,
  k,
  s: ["max", "avg", "transposed"].includes(kind) ? k : 1,
  p: 0,
  d: 1,
  o: 0,
  w: 8,
});

/** A layer of a kind with usual settings. */
export function newLayer(kind) {
  if (kind === "residual") return { kind, s: 1, body: [{ ...usual("conv", 3), p: 1 }] };
  return usual(kind, kind === "conv" ? 3 : 2);
}

/** Layers from text; throws a ParseError. */
export function parse(source) {
  const state = { rest: source.trim(), count: 0 };
  const layers = parseLayers(state, 0);
  if (state.rest) throw new ParseError(`"${state.rest}" is one bracket too many.`);
  return layers;
}

function parseLayers(state, depth) {
  const layers = [];
  while (state.rest && !state.rest.startsWith(")")) {
    if (layers.length) {
      if (!state.rest.startsWith(".")) throw new ParseError(`a dot is missing at "${state.rest}".`);
      state.rest = state.rest.slice(1);
    }
    layers.push(parseLayer(state, depth));
    if (++state.count > MOST) throw new ParseError(`more than ${MOST} layers.`);
  }
  return layers;
}

function parseLayer(state, depth) {
  const residual = /^r(\d+)\(/.exec(state.rest);
  if (residual) {
    if (depth === DEEPEST) throw new ParseError("too many branches in one another.");
    state.rest = state.rest.slice(residual[0].length);
    const body = parseLayers(state, depth + 1);
    if (!state.rest.startsWith(")")) throw new ParseError("a bracket is not closed.");
    state.rest = state.rest.slice(1);
    return checked({ kind: "residual", s: Number(residual[1]), body });
  }
  const found = LAYER.exec(state.rest);
  if (!found) throw new ParseError(`"${state.rest}" does not start with a layer such as c3.`);
  state.rest = state.rest.slice(found[0].length);
  const layer = usual(KINDS[found[1]], Number(found[2]));
  for (const [, name, number] of found[3].matchAll(/([spdow])(\d+)/g)) {
    if (!FIELDS[layer.kind][name]) {
      throw new ParseError(`a ${NAMES[layer.kind]} has no ${FIELD_NAMES[name]}.`);
    }
    layer[name] = Number(number);
  }
  return checked(layer);
}

/** Why a layer can't be built though each setting is in its range, as PyTorch sees it; or null. */
export function refused(layer) {
  if (["max", "avg"].includes(layer.kind) && 2 * layer.p > layer.k) {
    return "a pool's padding is at most half its kernel";
  }
  if (layer.kind === "transposed" && layer.o >= Math.max(layer.s, layer.d)) {
    return "output padding is smaller than the stride or the dilation";
  }
  return null;
}

function checked(layer) {
  for (const [name, [least, most]] of Object.entries(FIELDS[layer.kind])) {
    if (layer[name] < least || layer[name] > most) {
      throw new ParseError(
        `the ${FIELD_NAMES[name]} of a ${NAMES[layer.kind]} is ${least} to ${most}, ` +
          `not ${layer[name]}.`,
      );
    }
  }
  const why = refused(layer);
  if (why) throw new ParseError(`${why}.`);
  return layer;
}

/** Text from layers; `parse` reads it back. */
export function format(layers) {
  return layers
    .map((layer) => {
      if (layer.kind === "residual") return `r${layer.s}(${format(layer.body)})`;
      const plain = usual(layer.kind, layer.k);
      const fields = Object.keys(FIELDS[layer.kind]).filter((name) => layer[name] !== plain[name]);
      return LETTERS[layer.kind] + layer.k + fields.map((name) => name + layer[name]).join("");
    })
    .join(".");
}

/**
 * Weights of each layer by its path, without biases and norms, for an image of one channel; a
 * residual whose branch changes channels or size has a 1x1 convolution as its shortcut.
 */
export function weights(layers, channels = 1, prefix = "", found = {}) {
  layers.forEach((layer, index) => {
    const path = `${prefix}${index + 1}`;
    if (layer.kind === "residual") {
      const inside = weights(layer.body, channels, `${path}.`, found);
      const changes = inside.channels !== channels || layer.s > 1;
      found[path] = changes ? channels * inside.channels : 0;
      channels = inside.channels;
    } else if (["conv", "transposed"].includes(layer.kind)) {
      found[path] = layer.k ** 2 * channels * layer.w;
      channels = layer.w;
    } else {
      found[path] = 0;
    }
  });
  return { found, channels };
}

export const PRESETS = [
  { id: "exp5", name: "Experiment 5", size: 28, net: "c3w9.c3w9.c3w9.m2.c3w16.c3w16.c3w16.c1w10.a5" },
  {
    id: "vgg16",
    name: "VGG16, convolutions and pools",
    size: 224,
    net: "c3p1w64.c3p1w64.m2.c3p1w128.c3p1w128.m2.c3p1w256.c3p1w256.c3p1w256.m2." +
      "c3p1w512.c3p1w512.c3p1w512.m2.c3p1w512.c3p1w512.c3p1w512.m2",
  },
  { id: "dilated", name: "A dilated stack", size: 28, net: "c3p1.c3p2d2.c3p4d4.c3p8d8" },
  { id: "residual", name: "Two residual blocks", size: 28, net: "c3p1.r1(c3p1.c3p1).r2(c3s2p1.c3p1)" },
  { id: "hourglass", name: "Down and up again", size: 28, net: "c3p1.m2.c3p1.m2.c3p1.b2.c3p1.t2" },
];
