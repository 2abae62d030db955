// A forward pass by hand, for the layers of the experiments: convolution without padding, ReLU,
// a scale and a shift a channel (BatchNorm), pools. tests/widgets holds it to PyTorch.
//
// A tensor is { channels, side, values }: values a Float32Array of channels * side * side.

const MEAN = 0.1307; // as eva.data normalizes
const STD = 0.3081;

/** Float32 numbers from base64. */
export function floats(base64) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}

/** A network of data/reference.js with its numbers unpacked. */
export function unpack(network) {
  const packed = ["weights", "scale", "shift"];
  return network.layers.map((layer) =>
    Object.fromEntries(
      Object.entries(layer).map(([name, value]) => [
        name,
        packed.includes(name) ? floats(value) : value,
      ]),
    ),
  );
}

/** Gray values from 0 to 255, 28 x 28, as the network expects them. */
export function normalize(pixels) {
  const values = Float32Array.from(pixels, (pixel) => (pixel / 255 - MEAN) / STD);
  return { channels: 1, side: Math.sqrt(values.length), values };
}

/** The output of every layer, in order. */
export function forward(layers, input) {
  const outputs = [];
  for (const layer of layers) outputs.push(apply(layer, outputs.at(-1) ?? input));
  return outputs;
}

function apply(layer, input) {
  switch (layer.kind) {
    case "conv":
      return convolution(layer, input);
    case "relu":
      return { ...input, values: input.values.map((value) => Math.max(0, value)) };
    case "affine": {
      const area = input.side ** 2;
      const change = (value, i) => {
        const channel = Math.floor(i / area);
        return value * layer.scale[channel] + layer.shift[channel];
      };
      return { ...input, values: input.values.map(change) };
    }
    case "max":
      return pool(layer.k, input, -Infinity, Math.max, (value) => value);
    case "avg":
      return pool(layer.k, input, 0, (a, b) => a + b, (value) => value / layer.k ** 2);
    default:
      throw new RangeError(`no forward for a layer of kind ${layer.kind}`);
  }
}

function convolution({ in: fanIn, out, k, weights }, { side, values }) {
  const after = side - k + 1;
  const result = new Float32Array(out * after * after);
  for (let o = 0; o < out; o++) {
    for (let y = 0; y < after; y++) {
      for (let x = 0; x < after; x++) {
        let sum = 0;
        for (let c = 0; c < fanIn; c++) {
          for (let dy = 0; dy < k; dy++) {
            const row = (c * side + y + dy) * side + x;
            const kernel = ((o * fanIn + c) * k + dy) * k;
            for (let dx = 0; dx < k; dx++) sum += values[row + dx] * weights[kernel + dx];
          }
        }
        result[(o * after + y) * after + x] = sum;
      }
    }
  }
  return { channels: out, side: after, values: result };
}

function pool(k, { channels, side, values }, first, join, finish) {
  const after = Math.floor(side / k);
  const result = new Float32Array(channels * after * after);
  for (let i = 0; i < result.length; i++) {
    const [x, y] = [i % after, Math.floor(i / after) % after];
    const channel = Math.floor(i / after ** 2);
    let found = first;
    for (let dy = 0; dy < k; dy++) {
      for (let dx = 0; dx < k; dx++) {
        found = join(found, values[(channel * side + y * k + dy) * side + x * k + dx]);
      }
    }
    result[i] = finish(found);
  }
  return { channels, side: after, values: result };
}

/** Shares that add up to one. */
export function softmax(scores) {
  const most = Math.max(...scores);
  const powers = Array.from(scores, (score) => Math.exp(score - most));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / sum);
}

/**
 * A drawing as MNIST would hold it: its box scaled to 20 pixels on the longer side, its center of
 * mass in the middle of 28 x 28; null for an empty one.
 *
 * @param {ArrayLike<number>} values Ink from 0 to 255, side x side.
 * @returns {Float32Array | null} 784 values from 0 to 255.
 */
export function centered(values, side) {
  const inked = [...values.keys()].filter((i) => values[i] > 12);
  if (!inked.length) return null;
  const xs = inked.map((i) => i % side);
  const ys = inked.map((i) => Math.floor(i / side));
  const ends = (list) => [
    list.reduce((a, b) => Math.min(a, b)),
    list.reduce((a, b) => Math.max(a, b)) + 1,
  ];
  const [[left, right], [top, bottom]] = [ends(xs), ends(ys)];
  const scale = Math.max(right - left, bottom - top) / 20; // pixels of the drawing for one
  let [mass, atX, atY] = [0, 0, 0];
  for (const i of inked) {
    mass += values[i];
    atX += values[i] * ((i % side) + 0.5);
    atY += values[i] * (Math.floor(i / side) + 0.5);
  }
  const [originX, originY] = [atX / mass - 14 * scale, atY / mass - 14 * scale];
  const result = new Float32Array(784);
  const steps = Math.max(1, Math.ceil(scale)); // samples along each side of a pixel
  for (let i = 0; i < 784; i++) {
    let sum = 0;
    for (let sample = 0; sample < steps * steps; sample++) {
      const x = (i % 28) + ((sample % steps) + 0.5) / steps;
      const y = Math.floor(i / 28) + (Math.floor(sample / steps) + 0.5) / steps;
      const [px, py] = [Math.floor(originX + x * scale), Math.floor(originY + y * scale)];
      if (px >= 0 && py >= 0 && px < side && py < side) sum += values[py * side + px];
    }
    result[i] = sum / steps ** 2;
  }
  return result;
}
