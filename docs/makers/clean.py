"""Training accuracy on clean images beside that while training, and digits as augmented.

``python docs/generate.py --clean`` trains the experiments on mnist-mini and writes the record.
"""

from __future__ import annotations

import importlib
import json
import platform
from itertools import groupby
from typing import Any

from makers import svg
from makers.records import RECORDS, spread

RECORD = RECORDS / "clean_training.json"
NAMES = ("exp2", "exp3", "exp4")
SEEDS = (0, 1, 2)
PARTS = ("Rotation(degrees=12)", "Shear(degrees=12)", "Scale(fraction=0.15)", "Shift(pixels=2.8)")
SHADES = 4  # of gray in the picture
SIDE = 28


def measure() -> None:
    """Train, measure, draw, and write the record; some minutes."""
    import torch

    import eva
    from eva.data import load_mini, to_float
    from eva.data.augment import augment
    from eva.training.evaluation import evaluate

    data = load_mini()
    runs = []
    for name in NAMES:
        module = importlib.import_module(f"eva.experiments.{name}")
        for seed in SEEDS:
            torch.manual_seed(seed)
            trainer = eva.Trainer(
                module.build_model(), module.RECIPE, data, device="cpu", seed=seed
            )
            last = trainer.fit().rows[-1]
            clean = evaluate(trainer.evaluated, data.train_images, data.train_labels).accuracy
            row = {"training": last.train_accuracy, "clean": clean, "test": last.test_accuracy}
            runs.append({"experiment": name, "seed": seed} | row)
    images = to_float(
        torch.stack([data.test_images[data.test_labels == d][5] for d in (2, 4, 6, 7)])
    )
    drawn = {"as it is": images}
    for text in PARTS:
        part = eval(text, vars(importlib.import_module("eva.recipe")))
        drawn[text] = augment(images, (part,), torch.Generator().manual_seed(3))
    record: dict[str, Any] = {
        "data": "mnist-mini: 4,000 training images, 1,000 test images; the recipes' 15 epochs",
        "device": f"CPU, {torch.get_num_threads()} thread",
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "runs": runs,
        "digits": {
            text: ["".join(str(round(v * SHADES)) for v in one.flatten().tolist()) for one in batch]
            for text, batch in drawn.items()
        },
    }
    RECORD.write_text(json.dumps(record, indent=1) + "\n")


def table(record: dict[str, Any]) -> str:
    """An experiment a line, means over seeds."""
    lines = [
        "| | while training % | clean training images % | test % |",
        "|---|--:|--:|--:|",
    ]
    for name in NAMES:
        runs = [run for run in record["runs"] if run["experiment"] == name]
        cells = [spread([run[key] for run in runs]) for key in ("training", "clean", "test")]
        number = name.removeprefix("exp")
        lines.append(f"| [experiment {number}](../experiments/{name}.md) | {' | '.join(cells)} |")
    return "\n".join(
        [*lines, "", f"{record['data']}; mean ± standard deviation over {len(SEEDS)} seeds."]
    )


def picture(record: dict[str, Any]) -> str:
    """A row an augmentation, a column a digit."""
    rows = list(record["digits"].items())
    size, gap, left = 80, 12, 200
    body = []
    for row, (text, digits) in enumerate(rows):
        top = row * (size + gap) + 6
        body.append(svg.label(left - 16, top + size / 2 + 5, text, "end"))
        for column, shades in enumerate(digits):
            x = left + column * (size + gap)
            scale = f"translate({x} {top}) scale({size / SIDE:.3f})"
            body.append(f'<g transform="{scale}"><rect class="paper" width="28" height="28"/>')
            for shade in range(1, SHADES + 1):
                path = _runs(shades, str(shade))
                body.append(f'<path class="inked" opacity="{shade / SHADES:g}" d="{path}"/>')
            body.append("</g>")
    words = "Four digits in a row as they are, and below them rotated, sheared, scaled and shifted."
    drawn = svg.picture("Augmented digits", words, body, len(rows) * (size + gap))
    return f'<figure class="curves">\n{drawn}\n</figure>'


def _runs(shades: str, wanted: str) -> str:
    """A path over all pixels of a shade, row by row."""
    found = []
    for y in range(SIDE):
        x = 0
        for shade, same in groupby(shades[y * SIDE : (y + 1) * SIDE]):
            width = len(list(same))
            if shade == wanted:
                found.append(f"M{x} {y}h{width}v1h-{width}z")
            x += width
    return "".join(found)


def texts() -> dict[str, str]:
    """All that this file makes."""
    if not RECORD.exists():
        return {}
    record = json.loads(RECORD.read_text())
    return {
        "generated/clean-training.md": table(record),
        "generated/augmented.html": picture(record),
    }
