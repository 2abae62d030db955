"""Curves of the experiments as small SVG."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from eva.recipe import Constant, Cosine, OneCycle, Step, Triangular
from eva.record import Run
from makers import svg
from makers.records import NAMES, by_epoch, load, published_log
from makers.svg import LEFT, RIGHT, TOP, WIDTH, Point

HEIGHT, STRIP = 300, 54
TICKS = (96.0, 98.0, 99.0, 99.4, 99.7, 99.9)  # percent; the axis is the log of the error
LOWEST, HIGHEST = 96.0, 99.95
EPOCHS = 15


def accuracy_chart(name: str) -> str:
    """Training and test accuracy of each seed over the epochs, and the learning rate below."""
    runs = load(name)
    if not runs:
        return f"<p>No record of {name} yet.</p>"
    epochs = len(runs[0].rows)
    body = [_axes(epochs, f"clip-{name}")]
    for kind in ("train", "test"):
        values = [[getattr(r, f"{kind}_accuracy") for r in run.rows] for run in runs]
        body += [svg.line(_curve(line, epochs), f"line seed {kind}") for line in values]
        mean = [statistics.mean(column) for column in zip(*values, strict=True)]
        body.append(svg.line(_curve(mean, epochs), f"line mean {kind}"))
    log = published_log(name)
    if log:
        line = [row["test_accuracy_percent"] for row in log]
        body.append(svg.line(_curve(line, epochs), "line published"))
    body.append("</g>")
    body.append(_rates(runs[0]))
    last = [rows[-1] for rows in (run.rows for run in runs)]
    description = (
        f"Over {epochs} epochs and {len(runs)} seeds, training accuracy ends at "
        f"{statistics.mean(r.train_accuracy for r in last):.2f} percent and test accuracy at "
        f"{statistics.mean(r.test_accuracy for r in last):.2f} percent on average."
    )
    keys = [("train", "training"), ("test", "test")] + (
        [("published", "published test")] * bool(log)
    )
    drawn = svg.picture(f"Curves of {name}", description, body, TOP + HEIGHT + STRIP + 84)
    return svg.figure(drawn, keys)


def comparison_chart() -> str:
    """Mean test accuracy of every experiment in one picture."""
    found = [(name, load(name)) for name in NAMES if load(name)]
    if not found:
        return "<p>No record yet.</p>"
    epochs = len(found[0][1][0].rows)
    body = [_axes(epochs, "clip-all")]
    for name, runs in found:
        mean = [statistics.mean(r.test_accuracy for r in rows) for rows in by_epoch(runs)]
        body.append(svg.line(_curve(mean, epochs), f"line mean {name}"))
    body.append("</g>")
    body.append(_epoch_labels(epochs, TOP + HEIGHT))
    description = "Mean test accuracy over the epochs; the table on this page has the numbers."
    drawn = svg.picture("Test accuracy of all experiments", description, body, TOP + HEIGHT + 58)
    return svg.figure(drawn, [(name, name) for name, _ in found])


def schedules_chart(rates: Sequence[tuple[str, Sequence[float]]], epochs: int) -> str:
    """Share of the peak learning rate over the epochs, for several schedules."""
    body = []
    for share in (0.0, 0.5, 1.0):
        y = TOP + (1 - share) * 200
        body.append(svg.label(LEFT - 8, y + 5, f"{share:g}", "end"))
        body.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
    for index, (_, line) in enumerate(rates, start=1):
        points = [
            (LEFT + (WIDTH - LEFT - RIGHT) * i / (len(line) - 1), TOP + (1 - share) * 200)
            for i, share in enumerate(line)
        ]
        body.append(svg.line(points, f"line mean exp{index}"))
    body.append(_epoch_labels(epochs, TOP + 200))
    description = "Each schedule's share of the peak learning rate from the first to the last step."
    drawn = svg.picture("Learning-rate schedules", description, body, TOP + 258)
    return svg.figure(drawn, [(f"exp{i}", label) for i, (label, _) in enumerate(rates, start=1)])


def texts() -> dict[str, str]:
    """All that this file makes."""
    made = {f"generated/{name}-curves.html": accuracy_chart(name) for name in NAMES}
    made["generated/comparison.html"] = comparison_chart()
    kinds = (Constant(), Step(every=6, gamma=0.1), Triangular(peak_at=0.2), Cosine(), OneCycle())
    shares = [
        (
            type(kind).__name__.lower().replace("onecycle", "one-cycle"),
            [kind.share(step, 20, EPOCHS) for step in range(20 * EPOCHS)],
        )
        for kind in kinds
    ]
    return made | {"generated/schedules.html": schedules_chart(shares, EPOCHS)}


def _curve(values: Sequence[float], epochs: int) -> list[Point]:
    """A point after each epoch; the first is after epoch 1."""
    return [(_x(epoch, epochs), _y(value)) for epoch, value in enumerate(values, start=1)]


def _x(epoch: float, epochs: int) -> float:
    """Place of a number of epochs that are over, from 0 to all of them."""
    return LEFT + (WIDTH - LEFT - RIGHT) * epoch / epochs


def _y(accuracy: float) -> float:
    """Height of an accuracy: the logarithm of the error, so that 99.4 and 99.5 lie apart."""
    worst, best = math.log(100 - LOWEST), math.log(100 - HIGHEST)
    error = math.log(max(100 - accuracy, 100 - HIGHEST))
    return TOP + HEIGHT * (best - error) / (best - worst)


def _axes(epochs: int, clip: str) -> str:
    parts = []
    for tick in TICKS:
        y = _y(tick)
        css = "target" if tick == 99.4 else "grid"
        parts.append(f'<path class="{css}" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(svg.label(LEFT - 8, y + 5, f"{tick:g} %", "end"))
    box = f'x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" height="{HEIGHT}"'
    parts.append(f'<clipPath id="{clip}"><rect {box}/></clipPath><g clip-path="url(#{clip})">')
    return "".join(parts)


def _rates(run: Run) -> str:
    """The strip below: learning rate at every tenth step, with its drops where epochs end."""
    steps = -(-run.data.train_size // run.recipe.batch_size)
    epochs = run.recipe.epochs
    top = TOP + HEIGHT + 26
    peak = run.recipe.optimizer.lr
    points = []
    for step in range(0, epochs * steps, 10):
        share = run.recipe.lr(step, steps) / peak
        points.append((_x(step / steps, epochs), top + (STRIP - 4) * (1 - share)))
    return (
        svg.line(_thinned(points), "line rate")
        + svg.label(LEFT - 8, top + 9, f"{peak:g}", "end")
        + svg.label(LEFT - 8, top + STRIP, "lr", "end")
        + _epoch_labels(epochs, top + STRIP)
    )


def _thinned(points: list[Point]) -> list[Point]:
    """Without the points on a straight level line between their neighbors."""
    return [
        point
        for index, point in enumerate(points)
        if not 0 < index < len(points) - 1
        or not points[index - 1][1] == point[1] == points[index + 1][1]
    ]


def _epoch_labels(epochs: int, y: float) -> str:
    """Numbers below the axis, from 1 to the last epoch."""
    marks = range(1, epochs + 1, 2 if epochs > 6 else 1)
    text = "".join(svg.label(_x(e, epochs), y + 24, str(e), "middle") for e in marks)
    return text + svg.label((LEFT + WIDTH - RIGHT) / 2, y + 50, "epoch", "middle")
