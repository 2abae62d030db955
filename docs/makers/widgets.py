"""What the pages that move are made of: a few digits of mnist-mini."""

from __future__ import annotations

import base64
import functools
import json

import eva
from eva.data import load_mini
from eva.experiments.exp5 import build_model
from eva.recipe import Rotation, Scale, Shear, Shift
from eva.submission import load_submission

mini = functools.cache(load_mini)  # seconds, and two makers need it
EACH = 5  # which of the 100 test images of a digit is shown
HEAD = "// Made by docs/generate.py; the digits are test images of mnist-mini (see eva.data).\n"


def digits() -> str:
    """One test image of each digit: 784 bytes, row by row, in base64."""
    data = mini()
    shown = []
    for digit in range(10):
        index = int((data.test_labels == digit).nonzero()[EACH])
        pixels = base64.b64encode(bytes(data.test_images[index].flatten().tolist())).decode()
        shown.append({"digit": digit, "index": index, "pixels": pixels})
    lines = ",\n".join(f"  {json.dumps(one)}" for one in shown)
    return f"{HEAD}export const DIGITS = [\n{lines},\n];\n"


def limits() -> str:
    """What the recipes of the course allow, for the augmentation playground."""
    shown = {}
    for name, words in (("exp5", "experiment 5"), ("reference", "the reference")):
        recipe = load_submission(f"eva.experiments.{name}").recipe
        found = {Rotation: 0.0, Shear: 0.0, Scale: 0.0, Shift: 0.0}
        for part in recipe.augment:
            found[type(part)] = next(v for v in part.model_dump().values() if isinstance(v, float))
        order = [kind for kind in found if kind in map(type, recipe.augment)]
        assert order == list(map(type, recipe.augment)), "the page composes in this order"
        values = {kind.__name__.lower(): value for kind, value in found.items()}
        shown[name] = {"text": words} | values | {"interpolation": recipe.interpolation.value}
    head = "// Made by docs/generate.py from the recipes."
    return f"{head}\nexport const LIMITS = {json.dumps(shown, indent=1)};\n"


def fields_table() -> str:
    """The explorer's first network as a table, for readers without JavaScript."""
    lines = ["| layer | map | field | jump | padding | start |", "|---|--:|--:|--:|--:|--:|"]
    for call in eva.trace(build_model().eval(), (1, 28, 28)).calls:
        field = call.output_rf
        if call.type_name not in ("Conv2d", "MaxPool2d", "AvgPool2d") or field is None:
            continue
        rows = field.axes[0]
        side = call.output_sizes[0][-1]
        cells = (f"`{call.name}` {call.type_name}", f"{side}x{side}", f"{rows.size}x{rows.size}")
        lines.append(
            f"| {' | '.join((*cells, *map(str, (rows.jump, rows.padding, rows.start))))} |"
        )
    return "\n".join(lines)


def texts() -> dict[str, str]:
    """All that this file makes."""
    return {
        "widgets/data/digits.js": digits(),
        "widgets/data/augmentation.js": limits(),
        "generated/explorer.md": fields_table(),
    }
