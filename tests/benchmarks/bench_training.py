"""An epoch of experiment 5 on a CPU, with augmentation and evaluation: eva, peers, and the floor.

    make bench                             this and bench_cuda.py, into docs/records/benchmarks
    python tests/benchmarks/bench_training.py --images 2560 --rounds 1 --out quick.json
    python tests/benchmarks/bench_training.py --peers pytorch,keras --epochs 15 --out whole.json

Each contestant is a process of its own; all run in turn, round after round, so that a busy minute
of the machine meets them all. Quoted are medians over rounds, of epochs after the first, and
ratios within a round. Peers are run by the Python of --peers-python; one that is unknown, not
installed or broken is skipped with its name. Also measured: how fast eva starts, and (--growth)
how cost grows with images, batch size and width.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch
from contestants import (
    FLOOR,
    OURS,
    PEERS,
    ROOT,
    Contestant,
    Skipped,
    choose,
    conditions,
    keep,
    lowest,
    run,
    say,
    unpack,
)
from growth import beside_the_floor, growth, start_up
from peers.common import BATCH

from eva.data.mnist_files import fetch, find

OUT = ROOT / "docs" / "records" / "benchmarks" / "training.json"
IMAGES = 60_000


def compare(chosen: argparse.Namespace, peers: dict[str, Contestant], data: Path) -> dict[str, Any]:
    """Run all in turn, round after round; ours between two looks at the floor."""
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in OURS | peers}
    floors: list[dict[str, float]] = []
    skipped: dict[str, str] = {}
    for number in range(chosen.rounds):
        say(f"round {number + 1}")
        before = floor(chosen, data)
        for name, one in OURS.items():
            attempt(chosen, data, name, one, results[name], skipped)
        after = floor(chosen, data)
        floors.append({way: (before[way] + after[way]) / 2 for way in before})
        for name, one in peers.items():
            attempt(chosen, data, name, one, results[name], skipped)
    return summary(chosen, {n: r for n, r in results.items() if r}, floors) | {"skipped": skipped}


def floor(chosen: argparse.Namespace, data: Path) -> dict[str, float]:
    """Seconds of a step with no data work, in each of the ways to run it."""
    steps, _ = run(FLOOR, chosen.peers_python, data, "--threads", str(chosen.threads))
    found = {line["variant"]: line["seconds"] for line in steps}
    say(f"  floor: {1000 * lowest(found):.2f} ms a step")
    return found


def attempt(
    chosen: argparse.Namespace,
    data: Path,
    name: str,
    one: Contestant,
    results: list[dict[str, Any]],
    skipped: dict[str, str],
) -> None:
    """Run a contestant once; add what came to ``results``, or why not to ``skipped``."""
    if name in skipped:
        return
    options = ["--images", str(chosen.images), "--threads", str(chosen.threads)]
    options += ["--epochs", str(chosen.epochs)]
    try:
        (head, *epochs), seconds = run(one, chosen.peers_python, data, *options)
    except Skipped as error:
        skipped[name] = str(error)
        say(f"  skipped {name}: {error}")
        return
    results.append(
        {
            "seconds": [epoch["seconds"] for epoch in epochs],
            "test_accuracy": epochs[-1]["test_accuracy"],
            "process_seconds": seconds,
            "versions": head["versions"],
        }
    )
    accuracy = results[-1]["test_accuracy"]
    say(f"  {name}: {steady(results[-1]):.2f} s an epoch, {accuracy:.2f} %")


def steady(result: dict[str, Any]) -> float:
    """Median seconds of the epochs after the first, which warms up; of it, where it is alone."""
    seconds = result["seconds"]
    return statistics.median(seconds[1:] or seconds)


def summary(
    chosen: argparse.Namespace,
    results: dict[str, list[dict[str, Any]]],
    floors: list[dict[str, float]],
) -> dict[str, Any]:
    """Medians; ratios of what ran in the same round, to the best peer of no coarser precision."""
    steps = -(-chosen.images // BATCH)
    by_round = [steps * lowest(floor) for floor in floors]
    peers = [name for name in results if name in PEERS and len(results[name]) == chosen.rounds]
    times = {name: [steady(result) for result in rounds] for name, rounds in results.items()}
    ratios: dict[str, dict[str, Any]] = {}
    for name in (name for name in OURS if name in times):
        pairs = list(zip(times[name], by_round, strict=True))
        ratios[name] = {"to_floor": spread([ours / floor for ours, floor in pairs])}
        equals = [peer for peer in peers if OURS[name].bf16 or not PEERS[peer].bf16]
        best = min(equals, key=lambda peer: statistics.median(times[peer]), default=None)
        if best is not None:
            pairs = list(zip(times[best], times[name], strict=True))
            ratios[name]["best_peer"] = best
            ratios[name]["best_peer_to_it"] = spread([theirs / ours for theirs, ours in pairs])
        if name in floors[0]:
            pairs = [
                (ours, steps * floor[name]) for ours, floor in zip(times[name], floors, strict=True)
            ]
            ratios[name]["to_own_step"] = spread([ours / step for ours, step in pairs])
    return {
        "contestants": {
            name: {
                "epoch_seconds": statistics.median(times[name]),
                "first_epoch_seconds": statistics.median(r["seconds"][0] for r in rounds),
                "process_seconds": statistics.median(r["process_seconds"] for r in rounds),
                "test_accuracy": statistics.median(r["test_accuracy"] for r in rounds),
                "versions": rounds[0]["versions"],
                "rounds": [r["seconds"] for r in rounds],
            }
            for name, rounds in results.items()
        },
        "floor": {
            "epoch_seconds": statistics.median(by_round),
            "step_seconds": {
                name: statistics.median(floor[name] for floor in floors) for name in floors[0]
            },
        },
        "ratios": ratios,
    }


def spread(values: list[float]) -> dict[str, float]:
    """Median and range over rounds."""
    return {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}


def main() -> None:
    """Run the benchmark and write its record."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--peers", help=f"Default: {', '.join(PEERS)}.")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=IMAGES, help="Fewer, for a quick look.")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--growth", action="store_true", help="Also how cost grows.")
    parser.add_argument("--data-dir")
    parser.add_argument("--peers-python", type=Path, default=ROOT / ".venv-bench/bin/python")
    parser.add_argument("--out", type=Path, default=OUT)
    chosen = parser.parse_args()
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # for all contestants; bench_cuda.py is for GPUs
    unknown: dict[str, str] = {}
    peers = choose(chosen.peers, unknown)
    record = conditions("bench_training.py", torch.device("cpu")) | {
        "images": chosen.images,
        "epochs": chosen.epochs,
        "rounds": chosen.rounds,
        "load_before": os.getloadavg()[0],
    }
    record["device"]["threads"] = chosen.threads
    folder = find(chosen.data_dir) or fetch()
    with tempfile.TemporaryDirectory() as scratch:
        data = unpack(folder, Path(scratch))
        found = compare(chosen, peers, data)
        found["skipped"] |= unknown
        keep(record, chosen.out, **found)
        keep(record, chosen.out, start_up=start_up(5))
        measure = beside_the_floor(chosen, data)
        grown = growth(chosen.images, measure) if chosen.growth else None
        keep(record, chosen.out, growth=grown)
    say(table(record))
    say(f"written to {chosen.out}")


def table(record: dict[str, Any]) -> str:
    """All of it as text."""
    lines = [f"{'':20} s/epoch  first  process  test %"]
    for name, row in record["contestants"].items():
        lines.append(
            f"{name:20} {row['epoch_seconds']:7.2f} {row['first_epoch_seconds']:6.2f} "
            f"{row['process_seconds']:8.1f} {row['test_accuracy']:7.2f}"
        )
    lines.append(f"{'floor':20} {record['floor']['epoch_seconds']:7.2f}")
    for name, ratios in record["ratios"].items():
        rows = {"times the floor": "to_floor"}
        if "to_own_step" in ratios:
            rows["times its step alone"] = "to_own_step"
        if "best_peer" in ratios:
            rows[f"{ratios['best_peer']} takes, times"] = "best_peer_to_it"
        for what, key in rows.items():
            value = ratios[key]
            lines.append(
                f"{name}, {what}: {value['median']:.2f} "
                f"({value['lowest']:.2f} to {value['highest']:.2f})"
            )
    lines += [f"{name}: {value:.0f} ms" for name, value in record["start_up"].items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
