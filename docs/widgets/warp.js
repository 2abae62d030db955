// The geometry of eva/data/augment.py: affine maps that are composed into one, and one resampling.
// A matrix maps a place in the new image to the place in the old one that it shows; places are
// pixels from the center, x to the right and y down.

const radians = (degrees) => (degrees * Math.PI) / 180;

/** Counter-clockwise. */
export function rotation(degrees) {
  const [cos, sin] = [Math.cos(radians(degrees)), Math.sin(radians(degrees))];
  return [[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]];
}

export function shear(degrees) {
  return [[1, Math.tan(radians(degrees)), 0], [0, 1, 0], [0, 0, 1]];
}

export function scale(factor) {
  return [[1 / factor, 0, 0], [0, 1 / factor, 0], [0, 0, 1]];
}

/** To the right and down. */
export function shift(right, down) {
  return [[1, 0, -right], [0, 1, -down], [0, 0, 1]];
}

/** One matrix for several that are applied in order. */
export function compose(matrices) {
  const times = (a, b) =>
    a.map((row) => b[0].map((_, j) => row.reduce((sum, value, k) => sum + value * b[k][j], 0)));
  return matrices.reduce(times);
}

/** Pixels of a new image of side x side; outside the old one all is black. */
export function resample(pixels, side, matrix, interpolation = "bilinear") {
  const at = (row, column) =>
    row < 0 || column < 0 || row >= side || column >= side ? 0 : pixels[row * side + column];
  const found = new Float32Array(side * side);
  const middle = (side - 1) / 2;
  const [[xx, xy, x0], [yx, yy, y0]] = matrix;
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      const [x, y] = [column - middle, row - middle];
      const from = [yx * x + yy * y + y0 + middle, xx * x + xy * y + x0 + middle];
      if (interpolation === "nearest") {
        found[row * side + column] = at(Math.round(from[0]), Math.round(from[1]));
        continue;
      }
      const [top, left] = from.map(Math.floor);
      const [down, right] = [from[0] - top, from[1] - left];
      found[row * side + column] =
        (1 - down) * ((1 - right) * at(top, left) + right * at(top, left + 1)) +
        down * ((1 - right) * at(top + 1, left) + right * at(top + 1, left + 1));
    }
  }
  return found;
}

/** Numbers in [0, 1) that are the same for the same seed (mulberry32). */
export function randomNumbers(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** A matrix drawn as the trainer draws one for each image: all parts uniform within their limits. */
export function drawn({ rotation: turn, shear: slant, scale: grow, shift: move }, random) {
  const within = (reach) => (2 * random() - 1) * reach;
  return compose([
    rotation(within(turn)),
    shear(within(slant)),
    scale(1 + within(grow)),
    shift(within(move), within(move)),
  ]);
}

/** The entry of a recipe for these limits; a part whose limit is 0 is left out. */
export function recipeLine({ rotation: turn, shear: slant, scale: grow, shift: move }, interpolation) {
  const parts = [
    [turn, `Rotation(degrees=${turn})`],
    [slant, `Shear(degrees=${slant})`],
    [grow, `Scale(fraction=${grow})`],
    [move, `Shift(pixels=${move})`],
  ].flatMap(([limit, text]) => (limit > 0 ? [text] : []));
  const line = `augment=[${parts.join(", ")}]`;
  return interpolation === "nearest" ? `${line}, interpolation="nearest"` : line;
}
