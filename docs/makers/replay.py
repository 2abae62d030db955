"""What the training replay plays: epoch by epoch, the curves of full MNIST and digits of mini."""

from __future__ import annotations

import base64
import itertools
import json
from collections import Counter

from eva.data import load_mini
from eva.record import Run
from makers.records import RECORDS, load

NAMES = ("exp1", "exp2", "exp3", "exp4", "exp5")
SHOWN = 60  # digits, of those that are misread most often
HEAD = (
    "// Made by docs/generate.py from docs/records; the digits are test images of mnist-mini.\n"
    "// `changes` are test images of full MNIST that were misread anew, and no longer.\n"
)


def replay() -> str:
    """A JavaScript module: RUNS by experiment, and the DIGITS that their lists point into."""
    small = {name: Run.load(RECORDS / "replay" / f"{name}.json") for name in NAMES}
    counts = Counter(index for run in small.values() for row in run.rows for index in row.wrong)
    chosen = sorted(index for index, _ in sorted(counts.items(), key=_most_often)[:SHOWN])
    place = {index: position for position, index in enumerate(chosen)}
    runs = {}
    for name in NAMES:
        run, mini = load(name)[0], small[name]
        wrong = [set[int]()] + [set(row.wrong) for row in run.rows]
        changes = [[len(now - old), len(old - now)] for old, now in itertools.pairwise(wrong)]
        runs[name] = {
            "parameters": run.parameters,
            "train": [round(row.train_accuracy, 3) for row in run.rows],
            "test": [round(row.test_accuracy, 3) for row in run.rows],
            "wrong": [len(row.wrong) for row in run.rows],
            "changes": changes,
            "mini": [len(row.wrong) for row in mini.rows],
            "digits": [[place[i] for i in row.wrong if i in place] for row in mini.rows],
        }
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(run)}" for name, run in runs.items())
    shown = ",\n".join(f"  {json.dumps(one)}" for one in _digits(chosen))
    return (
        f"{HEAD}export const RUNS = {{\n{lines},\n}};\n"
        f"export const MINI = {small['exp1'].data.test_size};\n"
        f"export const DIGITS = [\n{shown},\n];\n"
    )


def texts() -> dict[str, str]:
    """All that this file makes."""
    return {"widgets/data/replay.js": replay()}


def _most_often(item: tuple[int, int]) -> tuple[int, int]:
    index, times = item
    return -times, index


def _digits(chosen: list[int]) -> list[dict[str, object]]:
    data = load_mini()
    return [
        {
            "label": int(data.test_labels[index]),
            "pixels": base64.b64encode(bytes(data.test_images[index].flatten().tolist())).decode(),
        }
        for index in chosen
    ]
