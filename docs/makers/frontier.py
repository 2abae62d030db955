"""Accuracy against parameters: our small networks, with intervals, and others' claims."""

from __future__ import annotations

import csv
import json
import math
import statistics
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations
from typing import Any

from eva.record import LAST_EPOCHS
from eva.studies import Study, summarize
from makers import svg
from makers.records import NONE, RECORDS, conditions, load, lowest_of_last, spread
from makers.svg import LEFT, RIGHT, TOP, WIDTH

HEIGHT = 300

FEWEST, MOST = 400, 10_000  # parameters
WORST, BEST = 97.0, 99.6  # percent
TICKS = (97.0, 98.0, 98.5, 99.0, 99.2, 99.4, 99.5)
MARKS = (500, 1000, 2000, 3500, 5000, 8000)
NAMES = ("under_697", "under_1000", "under_2000", "under_3500", "under_5000", "under_8000")


ROBUSTNESS = (
    ("exp5", "exp5_compiled"),
    ("reference",),
    ("frontier/under_8000", "robustness/under_8000_cpu"),
    ("frontier/under_1000", "robustness/under_1000_h100"),
    ("one_epoch_25k", "robustness/one_epoch_25k_h100"),
)

# What the search's recipes had unless its record says otherwise, and how a table says it.
USUAL: dict[str, Any] = {
    "lr": 0.1, "momentum": 0.9, "peak": 0.2, "rot": 10.0, "scale": 0.05, "shift": 1.5,
    "shear": 0.0, "wd": 1e-4, "ema": 0.999, "bs": 64, "epochs": 15, "ls": 0.0,
    "init": "default", "opt": "sgd",
}  # fmt: skip
WORDS = {
    "lr": "learning rate", "momentum": "momentum", "peak": "peak at", "rot": "rotation",
    "scale": "scale", "shift": "shift", "shear": "shear", "wd": "weight decay", "ema": "EMA",
    "bs": "batch", "epochs": "epochs", "ls": "label smoothing", "init": "init", "opt": "optimizer",
}  # fmt: skip

RECIPE_IDEAS: dict[tuple[tuple[str, Any], ...], str] = {
    (("shear", 8.0),): "shear of 8 degrees",
    (("scale", 0.1), ("shear", 8.0), ("shift", 2.0)): "shear of 8 degrees, scale 0.1, shift 2",
    (("rot", 12.0), ("scale", 0.1), ("shift", 2.0)): "rotation 12, scale 0.1, shift 2",
    (("shift", 1.0),): "shift 1 in place of 1.5",
    (("rot", 7.0),): "rotation 7 in place of 10",
    (("rot", 7.0), ("shift", 0.7)): "rotation 7 and shift 0.7 in place of 5 and 0.5",
    (("rot", 5.0), ("shift", 0.5)): "rotation 5 and shift 0.5 in place of 7 and 1",
    (("rot", 3.0),): "rotation 3 in place of 5",
    (("lr", 0.15),): "learning rate 0.15 in place of 0.1",
    (("lr", 0.2),): "learning rate 0.2 in place of 0.1",
    (("lr", 0.3),): "learning rate 0.3 in place of 0.2",
    (("lr", 0.05), ("momentum", 0.95)): "momentum 0.95 and half the learning rate",
    (("wd", 2e-4),): "twice the weight decay",
    (("ema", 0.9995),): "EMA over twice as many steps",
    (("peak", 0.1),): "peak of the rate after a tenth of the run",
    (("ls", 0.02),): "label smoothing 0.02",
    (("init", "kaiming_normal"),): "first weights by He",
}
NETWORK_IDEAS: dict[str, Callable[[str], str]] = {
    "digits set upright": lambda network: "u " + network,
    "average pool in place of max pool": lambda network: network.replace(" m ", " a "),
}


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What somebody else reports, one run each unless they say otherwise."""

    parameters: int
    accuracy: float
    said: str
    where: str
    source: str


CLAIMS = (
    Claim(
        parameters=575,
        accuracy=98.00,
        said="above 98 %",
        where="hexhowells.com, Neural Golfing",
        source="https://hexhowells.com/posts/neural-golfing.html",
    ),
    Claim(
        parameters=697,
        accuracy=99.03,
        said="99.03 %, the best of some 700 networks, up to 2,000 epochs",
        where="JoshWarn/Parameter-Efficient-MNIST",
        source="https://github.com/JoshWarn/Parameter-Efficient-MNIST",
    ),
    Claim(
        parameters=1_936,
        accuracy=99.10,
        said="99.10 %",
        where="ruslangrimov/mnist-minimal-model",
        source="https://github.com/ruslangrimov/mnist-minimal-model",
    ),
    Claim(
        parameters=3_077,
        accuracy=97.36,
        said="97.36 %",
        where="aknakshay/MNIST-Challenge",
        source="https://github.com/aknakshay/MNIST-Challenge",
    ),
    Claim(
        parameters=4_142,
        accuracy=99.17,
        said="99.17 %",
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
        parameters=5_711,
        accuracy=99.46,
        said="99.42, 99.46, 99.46 and 99.42 % in its last four epochs; drawn at its best",
        where="gopal2812/convandgpt",
        source="https://github.com/gopal2812/convandgpt",
    ),
    Claim(
        parameters=6_128,
        accuracy=99.40,
        said="99.40 % held over 5 epochs",
        where="sunpau/ERA_V1_S7",
        source="https://github.com/sunpau/ERA_V1_S7",
    ),
    Claim(
        parameters=6_188,
        accuracy=99.54,
        said="99.54 % in its best epoch",
        where="nagalakshmi-nimmagadda/MNIST-CNN-COLAB",
        source="https://github.com/nagalakshmi-nimmagadda/MNIST-CNN-COLAB",
    ),
    Claim(
        parameters=7_384,
        accuracy=99.47,
        said="99.47 % over the last four of 19 epochs",
        where="parth1993/tsai-eva6",
        source="https://github.com/parth1993/tsai-eva6",
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
    crosses = (
        '<span class="key"><svg viewBox="0 0 28 8" aria-hidden="true">'
        '<path class="claim" d="M10 0l8 8m0 -8l-8 8"/></svg>what others report</span>'
    )
    ours = svg.figure(drawn, [("test", "ours: mean of the last epoch, lowest to highest seed")])
    return ours.replace("</figcaption>", f" {crosses}</figcaption>")


def conclusion() -> str:
    """What the table says, in words made from it."""
    found = studies()
    holding = [study for study in found if study.held == study.seeds]
    if not holding:
        return "No record yet."
    fewest = min(holding, key=lambda study: study.parameters)
    low, _ = fewest.interval
    words = [
        f"**{fewest.parameters:,} parameters hold 99.4 %.** Each of {fewest.seeds} seeds of "
        f"`{_short(fewest)}` reached it in each of the last {fewest.last} of {fewest.epochs} "
        f"epochs. {fewest.seeds} of {fewest.seeds} is consistent with anything from "
        f"{100 * low:.0f} to 100 % of all runs.",
    ]
    below = [study for study in found if study.parameters < fewest.parameters]
    if below:
        words.append(
            "Not every seed of the smaller networks holds it. The means of their last epochs:"
        )
        words.append(
            "; ".join(
                f"{study.final.mean:.2f} % with {study.parameters:,} parameters"
                for study in reversed(below)
                if study.final
            )
            + "."
        )
    return " ".join(words)


def table() -> str:
    """Every study in numbers."""
    lines = [
        "| submission | parameters | seeds | last epoch %, mean ± standard deviation | lowest "
        "| worst late % | held 99.40 % | interval | trained on |",
        "|---|--:|--:|--:|--:|--:|--:|--:|---|",
    ]
    runs = []
    for study in studies():
        runs += [*load(_short(study).replace(".", "/"))]
        finals = [row.final for row in study.rows]
        low, high = study.interval
        lines.append(
            f"| `{_short(study)}` | {study.parameters:,} | {study.seeds} | {spread(finals)} "
            f"| {min(finals):.2f} | {min(row.late for row in study.rows):.2f} "
            f"| {study.held} of {study.seeds} | {100 * low:.0f} to {100 * high:.0f} % "
            f"| {runs[-1].device.name} |"
        )
    if not runs:
        return "No record yet."
    lines += [
        "",
        "Worst late: the lowest of the last 4 of 15 epochs of any seed. Held: runs with at least "
        "99.40 % in each of them, with Wilson's interval at 95 %. "
        f"{conditions(runs)}. Records: `docs/records/frontier`, `docs/records/reference`.",
    ]
    return "\n".join(lines)


def robustness_table() -> str:
    """The same network and recipe on other machines and by other paths."""
    lines = [
        "| submission | device | threads | path | torch | seeds "
        "| last epoch %, mean ± standard deviation | worst late % | held 99.40 % |",
        "|---|---|--:|---|---|--:|--:|--:|--:|",
    ]
    for names in ROBUSTNESS:
        for name in names:
            runs = load(name)
            if not runs:
                continue
            first = runs[0]
            threads = "–" if first.device.type == "cuda" else str(first.device.threads)
            path = "compiled" if first.device.compiled else "plain"
            path = "captured graph" if first.device.type == "cuda" else path
            versions = ", ".join(sorted({run.versions["torch"] for run in runs}))
            held = f"{sum(run.held() for run in runs)} of {len(runs)}"
            held = held if first.recipe.epochs >= LAST_EPOCHS else NONE
            lines.append(
                f"| `{first.submission.removeprefix('eva.experiments.')}` | {first.device.name} "
                f"| {threads} | {path} | {versions} | {len(runs)} "
                f"| {spread([run.rows[-1].test_accuracy for run in runs])} "
                f"| {lowest_of_last(runs):.2f} | {held} |"
            )
    return "\n".join(lines)


def together() -> str:
    """What eight trainings in one graph take, against one: an item of a list."""
    record = json.loads((RECORDS / "benchmarks" / "side_by_side.json").read_text())
    one, eight = record["together"]["1"], record["together"]["8"]
    return (
        f"- **Side by side.** A step of eight takes {eight / one:.1f} times as long as a step of "
        f"one: {eight:.2f} and {one:.2f} ms ({record['device']}, torch "
        f"{record['versions']['torch']})."
    )


def _search() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RECORDS / "frontier" / "search.json").read_text())
    return found


def _gains() -> dict[str, list[tuple[str, float]]]:
    """By idea: (network, points gained on held-out images) for each pair of runs.

    The runs of a pair have the same seed and differ in that idea alone.
    """
    runs = _search()["runs"]
    found: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for run in runs:
        looks = run.get("last_epoch_by_looks")
        if looks:
            gain = looks["five"] - looks["one"]
            found["five looks in place of one, in testing"].append((run["network"], gain))
            gain = looks["nine"] - looks["five"]
            found["nine looks in place of five"].append((run["network"], gain))
    for old, new in permutations(runs, 2):
        if (old["problem"], old["seed"]) != (new["problem"], new["seed"]):
            continue
        recipe = {k: v for k, v in new["recipe"].items() if old["recipe"][k] != v}
        parts = [part for part in ("network", "activation") if old[part] != new[part]]
        if recipe and not parts:
            ideas = [RECIPE_IDEAS.get(tuple(sorted(recipe.items())))]
            ideas = [i for i in ideas if i and _plain(old, new)]
        elif parts == ["network"] and not recipe:
            ideas = [
                name
                for name, change in NETWORK_IDEAS.items()
                if change(old["network"]) == new["network"]
            ]
        elif parts == ["activation"] and not recipe and new["activation"] == "silu":
            ideas = ["SiLU in place of ReLU"] if old["activation"] == "relu" else []
        else:
            ideas = []
        gain = statistics.mean(new["held_out_accuracy"]) - statistics.mean(old["held_out_accuracy"])
        for idea in ideas:
            if idea is not None:
                found[idea].append((new["network"], gain))
    return found


def _plain(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether the old value of all that changed is the one that most runs of this size had."""
    same = [run["recipe"] for run in _search()["runs"] if run["problem"] == old["problem"]]
    return all(
        old["recipe"][key] == statistics.mode(recipe[key] for recipe in same)
        for key, value in new["recipe"].items()
        if old["recipe"][key] != value
    )


def ideas_table() -> str:
    """What each idea gained on held-out images, with an interval where there are two pairs."""
    lines = ["| idea | pairs | networks | gain, points | interval |", "|---|--:|--:|--:|--:|"]
    gains = sorted(_gains().items(), key=lambda item: -statistics.mean(g for _, g in item[1]))
    for idea, pairs in gains:
        values = [gain for _, gain in pairs]
        interval = "–"
        if len(values) > 1:
            error = student(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
            mean = statistics.mean(values)
            interval = f"{mean - error:+.2f} to {mean + error:+.2f}"
        networks = len({network for network, _ in pairs})
        lines.append(
            f"| {idea} | {len(values)} | {networks} | {statistics.mean(values):+.3f} | {interval} |"
        )
    record = _search()
    lines += [
        "",
        "A pair is two runs with the same seed, trained on 50,000 images, that differ in the idea "
        "alone (for looks: the same weights); the gain is in the mean of the last 4 epochs on the "
        "10,000 others. The interval is Student's at 95 %, over pairs; where it holds 0, nothing "
        f"is shown. {record['device']}, torch {record['versions']['torch']}; {record['date']}.",
    ]
    return "\n".join(lines)


def searched_table() -> str:
    """Every network and recipe of the search, the best of each size first."""
    lines = [
        "| for | network | parameters | activation | recipe | seeds | held out % |",
        "|---|---|--:|---|---|--:|--:|",
    ]
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for run in _search()["runs"]:
        changes = ", ".join(
            f"{WORDS[k]} {v:g}" if isinstance(v, float | int) else f"{WORDS[k]} {v}"
            for k, v in run["recipe"].items()
            if v != USUAL[k]
        )
        groups[run["problem"], run["network"], run["activation"], changes].append(run)

    def mean(runs: list[dict[str, Any]]) -> float:
        return statistics.mean(statistics.mean(run["held_out_accuracy"]) for run in runs)

    for (problem, network, activation, changes), runs in sorted(
        groups.items(), key=lambda item: (item[0][0], -mean(item[1]))
    ):
        lines.append(
            f"| {problem.replace('reference', 'under_8000')} | `{network}` "
            f"| {runs[0]['parameters']:,} | {activation} "
            f"| {changes or 'as above'} | {len(runs)} | {mean(runs):.2f} |"
        )
    return "\n".join(lines)


def claims_table() -> str:
    """What others report."""
    lines = ["| parameters | claim | where |", "|--:|---|---|"]
    for claim in CLAIMS:
        lines.append(f"| {claim.parameters:,} | {claim.said} | [{claim.where}]({claim.source}) |")
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
        "generated/frontier-conclusion.md": conclusion(),
        "generated/frontier-together.md": together(),
        "generated/frontier-ideas.md": ideas_table(),
        "generated/frontier-searched.md": searched_table(),
        "generated/frontier-robustness.md": robustness_table(),
    }


def student(degrees: int) -> float:
    """Two-sided 95 % quantile of Student's distribution, by bisection of its integral."""
    norm = math.gamma((degrees + 1) / 2) / math.gamma(degrees / 2) / math.sqrt(degrees * math.pi)

    def inside(t: float) -> float:
        steps = 2000  # Simpson's rule from 0 to t
        width = t / steps
        height = [
            (1 + (k * width) ** 2 / degrees) ** (-(degrees + 1) / 2) for k in range(steps + 1)
        ]
        total = height[0] + height[-1] + 4 * sum(height[1:-1:2]) + 2 * sum(height[2:-1:2])
        return 2 * norm * total * width / 3

    low, high = 0.0, 20.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if inside(middle) < 0.95 else (low, middle)
    return low


def _short(study: Study) -> str:
    return study.submission.removeprefix("eva.experiments.")


def _x(parameters: float) -> float:
    share = math.log(parameters / FEWEST) / math.log(MOST / FEWEST)
    return LEFT + (WIDTH - LEFT - RIGHT) * share


def _y(accuracy: float) -> float:
    share = math.log((100 - accuracy) / (100 - BEST)) / math.log((100 - WORST) / (100 - BEST))
    return TOP + HEIGHT * share
