"""What the pages that move are made of: a few digits of mnist-mini."""

from __future__ import annotations

import base64
import json

import eva
from eva.data import load_mini
from eva.experiments.exp5 import build_model

EACH = 5  # which of the 100 test images of a digit is shown
HEAD = "// Made by docs/generate.py; the digits are test images of mnist-mini (see eva.data).\n"


def digits() -> str:
    """One test image of each digit: 784 bytes, row by row, in base64."""
    data = load_mini()
    shown = []
    for digit in range(10):
        index = int((data.test_labels == digit).nonzero()[EACH])
        pixels = base64.b64encode(bytes(data.test_images[index].flatten().tolist())).decode()
        shown.append({"digit": digit, "index": index, "pixels": pixels})
    lines = ",\n".join(f"  {json.dumps(one)}" for one in shown)
    return f"{HEAD}export const DIGITS = [\n{lines},\n];\n"


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
        "generated/explorer.md": fields_table(),
    }
