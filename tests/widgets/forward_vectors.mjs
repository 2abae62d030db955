// node forward_vectors.mjs WIDGETS: reads {network, images} from stdin, `network` null for the one
// that the page has; writes the scores of every image, and what became of centering it.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const from = (name) => import(pathToFileURL(`${process.argv[2]}/${name}`).href);
const { centered, forward, normalize, unpack } = await from("forward.js");
const { NETWORK } = await from("data/reference.js");

const { network, images } = JSON.parse(readFileSync(0));
const layers = unpack(network ?? NETWORK);
const scores = (pixels) => [...forward(layers, normalize(pixels)).at(-1).values];
const answer = (pixels) => {
  const moved = centered(pixels, 28);
  return { scores: scores(pixels), centered: [...(moved ?? [])], again: moved && scores(moved) };
};
process.stdout.write(JSON.stringify({ source: NETWORK.source, answers: images.map(answer) }));
