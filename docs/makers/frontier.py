"""Accuracy against parameters: our small networks, with intervals, and others' claims."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass

from eva.studies import Study, summarize
from makers import svg
from makers.records import RECORDS, conditions, load, spread
from makers.svg import LEFT, RIGHT, TOP, WIDTH

HEIGHT = 300

FEWEST, MOST = 400, 10_000  # parameters
WORST, BEST = 97.0, 99.6  # percent
TICKS = (97.0, 98.0, 98.5, 99.0, 99.2, 99.4, 99.5)
MARKS = (500, 1000, 2000, 3500, 5000, 8000)
NAMES = ("under_1000", "under_2000", "under_3500", "under_5000")


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What somebody else reports, one run each unless they say otherwise."""

    parameters: int
    accuracy: float
    said: str
    where: str
    source: str | None


CLAIMS = (
    Claim(
        parameters=575,
        accuracy=98.0,
        said="above 98 %",
        where="hexhowells.com, Neural Golfing",
        source="https://hexhowells.com/posts/neural-golfing.html",
    ),
    Claim(
        parameters=697,
        accuracy=99.03,
        said="99.03 %",
        where="JoshWarn/Parameter-Efficient-MNIST",
        source="https://github.com/JoshWarn/Parameter-Efficient-MNIST",
    ),
    Claim(
        parameters=3_077,
        accuracy=97.36,
        said="97.36 %",
        where="aknakshay/MNIST-Challenge",
        source="https://github.com/aknakshay/MNIST-Challenge",
    ),
    Claim(
        parameters=3_197,
        accuracy=99.25,
        said="99.25 %",
        where="seen in public, address not kept",
        source=None,
    ),
    Claim(
        parameters=4_862,
        accuracy=99.07,
        said="99.07 %",
        where="ruslangrimov/mnist-minimal-model",
        source="https://github.com/ruslangrimov/mnist-minimal-model",
    ),
    Claim(
        parameters=4_967,
        accuracy=98.42,
        said="98.42 %",
        where="aknakshay/MNIST-Challenge",
        source="https://github.com/aknakshay/MNIST-Challenge",
    ),
    Claim(
        parameters=5_854,
        accuracy=99.40,
        said="99.40 % in its best epoch",
        where="seen in public, address not kept",
        source=None,
    ),
    Claim(
        parameters=6_174,
        accuracy=99.40,
        said="99.40 % held over 5 epochs",
        where="seen in public, address not kept",
        source=None,
    ),
    Claim(
        parameters=6_720,
        accuracy=99.53,
        said="99.53 % in its best epoch",
        where="seen in public, address not kept",
        source=None,
    ),
)


def studies() -> list[Study]:
    """Those that have records, by parameters; the course's reference is the last."""
    names = [f"frontier/{name}" for name in NAMES] + ["reference"]
    found = [summarize(load(name)) for name in names if load(name)]
    return sorted(found, key=lambda study: study.parameters)


def chart() -> str:
    """The mean of each study over its seeds, from the lowest to the highest, and the claims."""
    body = []
    for tick in TICKS:
        css = "target" if tick == 99.4 else "grid"
        body.append(f'<path class="{css}" d="M{LEFT} {_y(tick):.1f}H{WIDTH - RIGHT}"/>')
        body.append(svg.label(LEFT - 8, _y(tick) + 5, f"{tick:g} %", "end"))
    for mark in MARKS:
        body.append(svg.label(_x(mark), TOP + HEIGHT + 24, f"{mark:,}", "middle"))
    body.append(svg.label((LEFT + WIDTH - RIGHT) / 2, TOP + HEIGHT + 50, "parameters", "middle"))
    for claim in CLAIMS:
        x, y = _x(claim.parameters), _y(claim.accuracy)
        body.append(f'<path class="claim" d="M{x - 5:.1f} {y - 5:.1f}l10 10m0 -10l-10 10"/>')
    for study in studies():
        if study.final is None:
            continue
        x = _x(study.parameters)
        low, high = _y(study.final.minimum), _y(study.final.maximum)
        body.append(f'<path class="line mean test" d="M{x:.1f} {low:.1f}V{high:.1f}"/>')
        body.append(f'<circle class="ours" cx="{x:.1f}" cy="{_y(study.final.mean):.1f}" r="5"/>')
    words = "; ".join(f"{s.parameters:,} {s.final.mean:.2f}" for s in studies() if s.final)
    drawn = svg.picture(
        "Test accuracy against parameters",
        f"Ours, parameters and mean test accuracy in percent: {words}. The tables have the rest.",
        body,
        TOP + HEIGHT + 58,
    )
    return svg.figure(drawn, [("test", "ours: mean of the last epoch, lowest to highest seed")])


def table() -> str:
    """Every study in numbers."""
    lines = [
        "| submission | parameters | seeds | last epoch %, mean ± standard deviation | lowest "
        "| held 99.40 % | interval |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    runs = []
    for study in studies():
        name = study.submission.removeprefix("eva.experiments.")
        runs += [*load(name.replace(".", "/"))]
        finals = [row.final for row in study.rows]
        low, high = study.interval
        lines.append(
            f"| `{name}` | {study.parameters:,} | {study.seeds} | {spread(finals)} "
            f"| {min(finals):.2f} | {study.held} of {study.seeds} "
            f"| {100 * low:.0f} to {100 * high:.0f} % |"
        )
    if not runs:
        return "No record yet."
    lines += [
        "",
        "Held: runs with at least 99.40 % in each of the last 4 of 15 epochs, with Wilson's "
        f"interval at 95 %. {conditions(runs)}. Records: `docs/records/frontier`.",
    ]
    return "\n".join(lines)


def claims_table() -> str:
    """What others report."""
    lines = ["| parameters | claim | where |", "|--:|---|---|"]
    for claim in CLAIMS:
        where = f"[{claim.where}]({claim.source})" if claim.source else claim.where
        lines.append(f"| {claim.parameters:,} | {claim.said} | {where} |")
    return "\n".join(lines)


def tried_table() -> str:
    """What was tried, on held-out training images."""
    with (RECORDS / "frontier" / "held_out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    lines = [
        "| network | parameters | activation | changes of the recipe | train % | held out % |",
        "|---|--:|---|---|--:|--:|",
    ]
    for row in rows:
        lines.append(
            f"| `{row['network']}` | {int(row['parameters']):,} | {row['activation']} "
            f"| {row['changes']} | {float(row['train_accuracy']):.2f} "
            f"| {float(row['held_out_accuracy']):.2f} |"
        )
    return "\n".join(lines)


def texts() -> dict[str, str]:
    """All that this file makes."""
    return {
        "generated/frontier.html": chart(),
        "generated/frontier.md": table(),
        "generated/frontier-claims.md": claims_table(),
        "generated/frontier-tried.md": tried_table(),
    }


def _x(parameters: float) -> float:
    share = math.log(parameters / FEWEST) / math.log(MOST / FEWEST)
    return LEFT + (WIDTH - LEFT - RIGHT) * share


def _y(accuracy: float) -> float:
    share = math.log((100 - accuracy) / (100 - BEST)) / math.log((100 - WORST) / (100 - BEST))
    return TOP + HEIGHT * share
