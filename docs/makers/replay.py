"""What the training replay plays: epoch by epoch, the curves of full MNIST and digits of mini.

``python docs/generate.py --replay`` trains the experiments on mnist-mini and writes the records.
"""

from __future__ import annotations

import base64
import importlib
import itertools
import json
from collections import Counter
from typing import Any

from eva.record import EpochRow, Run
from makers.records import RECORDS, load
from makers.widgets import mini

NAMES = ("exp1", "exp2", "exp3", "exp4", "exp5")
READ = RECORDS / "replay" / "read.json"  # what was read of each image that `wrong` lists
SHOWN = 60  # digits, of those that are misread most often
HEAD = (
    "// Made by docs/generate.py from docs/records; the digits are test images of mnist-mini.\n"
    "// `changes` are test images of full MNIST that were misread anew, and no longer;\n"
    "// `digits` are pairs: which of DIGITS was misread, and what was read.\n"
)


def measure() -> None:
    """Train the five with seed 0 on mnist-mini; write records and answers; some minutes."""
    import torch

    import eva
    from eva.training.callbacks import Callback
    from eva.training.evaluation import evaluate

    data = mini()

    class Reads(Callback):
        def __init__(self) -> None:
            self.epochs: list[list[int]] = []

        def on_epoch_end(self, trainer: Any, row: EpochRow) -> None:
            found = evaluate(trainer.evaluated, data.test_images, data.test_labels).predicted
            wrong = (found != data.test_labels).nonzero().flatten().tolist()
            assert wrong == list(row.wrong)
            self.epochs.append(found[wrong].tolist())

    answers = {}
    for name in NAMES:
        module = importlib.import_module(f"eva.experiments.{name}")
        torch.manual_seed(0)
        reads = Reads()
        trainer = eva.Trainer(
            module.build_model(),
            module.RECIPE,
            data,
            device="cpu",
            seed=0,
            name=module.__name__,
            callbacks=[reads],
        )
        trainer.fit().save(RECORDS / "replay" / f"{name}.json")
        answers[name] = reads.epochs
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(one)}" for name, one in answers.items())
    READ.write_text(f"{{\n{lines}\n}}\n")


def replay() -> str:
    """A JavaScript module: RUNS by experiment, and the DIGITS that their lists point into."""
    small = {name: Run.load(RECORDS / "replay" / f"{name}.json") for name in NAMES}
    counts = Counter(index for run in small.values() for row in run.rows for index in row.wrong)
    chosen = sorted(index for index, _ in sorted(counts.items(), key=_most_often)[:SHOWN])
    place = {index: position for position, index in enumerate(chosen)}
    answers = json.loads(READ.read_text())
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
            "digits": [
                [[place[i], read] for i, read in zip(row.wrong, reads, strict=True) if i in place]
                for row, reads in zip(mini.rows, answers[name], strict=True)
            ],
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
    data = mini()
    return [
        {
            "label": int(data.test_labels[index]),
            "pixels": base64.b64encode(bytes(data.test_images[index].flatten().tolist())).decode(),
        }
        for index in chosen
    ]
