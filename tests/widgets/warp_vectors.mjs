// node warp_vectors.mjs WIDGETS: reads { pixels, draws } from stdin; each of the draws has limits
// and, for each image, the numbers in [0, 1) of its rotation, shear, scale and two shifts. Writes
// the line for a recipe and the pictures of each.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const warp = await import(pathToFileURL(`${process.argv[2]}/warp.js`).href);
const { pixels, draws } = JSON.parse(readFileSync(0));

const answer = ({ limits, interpolation, numbers }) => ({
  line: warp.recipeLine(limits, interpolation),
  pictures: pixels.map((image, i) => {
    const next = numbers[i].values();
    const matrix = warp.drawn(limits, () => next.next().value);
    return [...warp.resample(image, 28, matrix, interpolation)];
  }),
});
const random = warp.randomNumbers(1);
const page = Array.from({ length: 2000 }, random);
process.stdout.write(JSON.stringify({ answers: draws.map(answer), random: page }));
