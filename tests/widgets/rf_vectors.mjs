// node rf_vectors.mjs WIDGETS: reads [{net, size}, ...] from stdin and writes what the explorer
// finds: for each network, the numbers of every stage but the image, or what it refused.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const from = (name) => import(pathToFileURL(`${process.argv[2]}/${name}`).href);
const { analyze, numbers, NetworkError } = await from("rf.js");
const { format, parse } = await from("network.js");

const answer = ({ net, size }) => {
  const layers = parse(net);
  const again = format(parse(format(layers))) === format(layers);
  try {
    const stages = analyze(layers, size).slice(1);
    return { again, stages: stages.map((s) => ({ path: s.path, ...numbers(s, size) })) };
  } catch (error) {
    if (!(error instanceof NetworkError)) throw error;
    return { again, refused: error.message };
  }
};

process.stdout.write(JSON.stringify(JSON.parse(readFileSync(0)).map(answer)));
