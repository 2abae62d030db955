// node warp_vectors.mjs WIDGETS: reads { pixels, warps, limits } and writes what the playground
// makes of them: pictures, the line for a recipe, and draws within limits.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const warp = await import(pathToFileURL(`${process.argv[2]}/warp.js`).href);
const { pixels, warps, limits } = JSON.parse(readFileSync(0));

const matrix = ({ rotation, shear, scale, shift }) =>
  warp.compose([
    warp.rotation(rotation),
    warp.shear(shear),
    warp.scale(scale),
    warp.shift(...shift),
  ]);
const random = warp.randomNumbers(1);
process.stdout.write(JSON.stringify({
  pictures: warps.map((one) => [
    ...warp.resample(pixels[one.image], 28, matrix(one), one.interpolation),
  ]),
  lines: limits.map(({ interpolation, ...one }) => warp.recipeLine(one, interpolation)),
  draws: limits.map((one) => Array.from({ length: 200 }, () => warp.drawn(one, random))),
}));
