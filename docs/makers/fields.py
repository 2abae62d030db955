"""Pictures and tables of receptive fields: as published, as computed, as gradients show."""

from __future__ import annotations

import re
from functools import cache

import torch
from torch import nn

from eva import rf
from eva.data import load_mini
from eva.experiments.exp5 import build_model
from eva.rf.gradients.probe import fields
from makers.records import GOLDEN

SIZE = (1, 28, 28)
CELL = 10
LAYER = re.compile(r"^\s+(\w+)-\d+\s+\[.*?([\d,]+)\s+\d+x\d+\s+\d+x\d+\s+(\d+)x\d+\s*$")


@cache
def leaves() -> tuple[rf.Call, ...]:
    """Calls of the layers of experiment 5's network that change what a unit sees."""
    calls = rf.trace(build_model().eval(), SIZE).calls
    kinds = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)
    return tuple(call for call in calls if isinstance(call.module, kinds))


def published() -> list[tuple[str, int]]:
    """Layer type and field, in pixels, as the published summary of experiment 5 prints them."""
    lines = (GOLDEN / "exp5_summary.txt").read_text().splitlines()
    found = [match for line in lines if (match := LAYER.match(line))]
    return [(match[1], int(match[3])) for match in found]


@cache
def seen(layer: str) -> torch.Tensor:
    """Boolean (28, 28): where the middle unit of a layer has a gradient."""
    return fields(build_model(), SIZE, layer)[0]


def table() -> str:
    """Published, computed and measured field of each layer."""
    lines = [
        "| layer | map | published | computed | measured by gradient |",
        "|---|--:|--:|--:|--:|",
    ]
    for (kind, size), call in zip(published(), leaves(), strict=True):
        found = call.output_rf
        assert found is not None and kind == call.type_name
        mask = seen(call.name)
        measured = f"{int(mask.any(1).sum())}x{int(mask.any(0).sum())}"
        computed = "x".join(map(str, found.size))
        said = f"{size}x{size}"
        side = call.output_sizes[0][-1]
        mark = "" if said == computed else " ✗"
        cells = (f"`{call.name}` {kind}", f"{side}x{side}", said + mark, computed, measured)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def gradient_picture() -> str:
    """The pixels that move one unit behind the pool, and the box that was published for it."""
    call = next(c for c in leaves() if isinstance(c.module, nn.MaxPool2d))
    index = leaves().index(call)
    size = published()[index][1]
    mask = seen(call.name)
    rows, columns = (mask.any(d).nonzero().flatten() for d in (1, 0))
    top, left = int(rows[0]), int(columns[0])
    count = int(mask.sum())
    cells = "".join(
        f'<rect class="{"seen" if value else "dark"}" x="{x * CELL}" y="{y * CELL}" '
        f'width="{CELL - 1}" height="{CELL - 1}"/>'
        for y, row in enumerate(mask[top - 3 : top + len(rows) + 3].tolist())
        for x, value in enumerate(row[left - 3 : left + len(columns) + 3])
    )
    side = (len(rows) + 6) * CELL
    box = (
        f'<rect class="claimed" x="{3 * CELL - 1}" y="{3 * CELL - 1}" '
        f'width="{size * CELL + 1}" height="{size * CELL + 1}"/>'
    )
    label = (
        f"One unit after the pool has a gradient at {count} pixels, a square of {len(rows)} by "
        f"{len(columns)}. The published box of {size} by {size} leaves a row and a column out."
    )
    return (
        f'<figure class="gradient">\n<svg viewBox="-2 -2 {side + 4} {side + 4}" role="img" '
        f'aria-label="{label}">{cells}{box}</svg>\n<figcaption>{label} Pixels are numbered '
        f"{top} to {top + len(rows) - 1} from the top.</figcaption>\n</figure>"
    )


def growing_picture() -> str:
    """A real digit, and the boxes that the middle unit of each layer sees of it."""
    image = load_mini().test_images[405, 0]
    pixels = "".join(
        f'<path opacity="{v / 255:.2f}" d="M{x} {y}h1v1h-1"/>'
        for y, row in enumerate(image.tolist())
        for x, v in enumerate(row)
        if v > 20
    )
    boxes: list[tuple[int, str, slice, slice]] = []
    convolutions = 0
    for call in leaves():
        convolutions += isinstance(call.module, nn.Conv2d)
        found = call.output_rf
        assert found is not None
        middle = call.output_sizes[0][-1] // 2
        rows, columns = found.region((middle, middle))
        if any(found.size[0] == size for size, *_ in boxes):
            continue
        kinds = {nn.Conv2d: f"convolution {convolutions}", nn.MaxPool2d: "max-pool"}
        name = kinds.get(type(call.module), "mean")
        boxes.append((found.size[0], name, rows, columns))
    drawn, side, step = [], 28 * CELL, 28 * CELL / (len(boxes) + 1)
    for row, (size, name, rows, columns) in enumerate(reversed(boxes), start=1):
        left, top, right = columns.start * CELL, rows.start * CELL, columns.stop * CELL
        drawn.append(
            f'<rect class="field" x="{left}" y="{top}" width="{right - left}" '
            f'height="{(rows.stop - rows.start) * CELL}"/>'
            f'<path class="lead" d="M{right} {top}L{side + CELL} {row * step:.0f}"/>'
            f'<text x="{side + 1.5 * CELL}" y="{row * step + 4:.0f}">{name}: {size}</text>'
        )
    sizes = ", ".join(f"{size} after {name}" for size, name, *_ in boxes)
    label = f"A handwritten digit. Nested squares show what one unit sees, in pixels: {sizes}."
    return (
        f'<svg class="growing" viewBox="-3 -3 {side + 18 * CELL} {side + 6}" role="img" '
        f'aria-label="{label}">\n<rect class="paper" width="{side}" height="{side}"/>\n'
        f'<g class="ink" transform="scale({CELL})">{pixels}</g>\n{"".join(drawn)}\n</svg>'
    )


def texts() -> dict[str, str]:
    """All that this file makes."""
    return {
        "generated/fields.md": table(),
        "generated/gradient.html": gradient_picture(),
        "generated/growing.html": f'<figure class="hero">\n{growing_picture()}\n</figure>',
    }
