"""Numbers and tables from the records in docs/records."""

from __future__ import annotations

import csv
import json
import math
import statistics
from collections.abc import Iterable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from eva.record import LAST_EPOCHS, EpochRow, Run

DOCS = Path(__file__).parents[1]
ROOT = DOCS.parent
RECORDS = DOCS / "records"
GOLDEN = ROOT / "tests" / "golden" / "reference"

# The table of the course that this one reproduces: best train and best test accuracy, one run each.
PUBLISHED = {
    "exp1": (98.2, 99.36),
    "exp2": (99.64, 99.21),
    "exp3": (98.28, 99.37),
    "exp4": (98.75, 99.43),
    "exp5": (98.86, 99.52),
}
NAMES = (*PUBLISHED, "reference")
NONE = "–"


@cache
def load(name: str) -> tuple[Run, ...]:
    """Records of one experiment, by seed."""
    runs = (Run.load(path) for path in (RECORDS / name).glob("seed*.json"))
    return tuple(sorted(runs, key=lambda run: run.seed))


def published_log(name: str) -> list[dict[str, float]]:
    """The published log of an experiment, one row an epoch; empty where none was published."""
    path = GOLDEN / f"{name}_log.csv"
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def spread(values: list[float]) -> str:
    """Mean, and the standard deviation over seeds where there are at least two."""
    mean = f"{statistics.mean(values):.2f}"
    return mean if len(values) < 2 else f"{mean} ± {statistics.stdev(values):.2f}"


def packages(rows: Iterable[dict[str, Any]]) -> str:
    """Names and versions of all packages that contestants of a benchmark ran with."""
    found: dict[str, str] = {}
    for row in rows:
        found |= row["versions"]
    return ", ".join(f"{name} {version}" for name, version in sorted(found.items()))


def by_epoch(runs: tuple[Run, ...]) -> list[tuple[EpochRow, ...]]:
    """Rows of all seeds together, epoch by epoch."""
    return list(zip(*(run.rows for run in runs), strict=True))


def lowest_of_last(runs: tuple[Run, ...]) -> float:
    """The lowest test accuracy of any seed in any of the last epochs."""
    return min(row.test_accuracy for run in runs for row in run.rows[-LAST_EPOCHS:])


def seconds_an_epoch(runs: tuple[Run, ...]) -> float:
    """Median seconds of training and testing."""
    return statistics.median(row.seconds_train + row.seconds_test for r in runs for row in r.rows)


def experiments_table(link: str) -> str:
    """Markdown table of all experiments with records; ``link`` is a page's path, with {name}."""
    lines = [
        "| experiment | parameters | seeds | train % | test % | worst late % | held "
        "| published train / test % | s/epoch |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    everything: list[Run] = []
    for name in NAMES:
        runs = load(name)
        if not runs:
            continue
        everything += runs
        last = [run.rows[-1] for run in runs]
        published = " / ".join(f"{value:g}" for value in PUBLISHED.get(name, ())) or NONE
        lines.append(
            f"| [{name}]({link.format(name=name)}) | {runs[0].parameters:,} | {len(runs)} "
            f"| {spread([row.train_accuracy for row in last])} "
            f"| {spread([row.test_accuracy for row in last])} | {lowest_of_last(runs):.2f} "
            f"| {sum(run.held() for run in runs)} of {len(runs)} | {published} "
            f"| {seconds_an_epoch(runs):.1f} |"
        )
    lines += [
        "",
        "Train and test: accuracy in the last epoch, mean ± standard deviation over seeds 0, 1, "
        "...; worst late: the lowest test accuracy of any seed in the last "
        f"{LAST_EPOCHS} epochs; held: runs with at least 99.40 % in each of those; published: best "
        "epochs of one run. 15 epochs "
        "of all 60,000 training images, tested on the 10,000 test images after each; seconds are "
        "medians. "
        f"{conditions(everything)}; float32. Records: `docs/records`.",
    ]
    return "\n".join(lines)


def spread_table() -> str:
    """What seeds alone do to the last epoch of each experiment."""
    lines = [
        "| experiment | seeds | final test %, mean ± standard deviation | lowest | highest |",
        "|---|--:|--:|--:|--:|",
    ]
    for name in NAMES:
        last = [run.rows[-1].test_accuracy for run in load(name)]
        if last:
            lines.append(
                f"| {name} | {len(last)} | {spread(last)} | {min(last):.2f} | {max(last):.2f} |"
            )
    return "\n".join(lines)


def conditions(runs: list[Run]) -> str:
    """Devices and PyTorch's versions that runs were made with."""
    devices = sorted({f"{r.device.name}, {r.device.threads} thread" for r in runs})
    versions = sorted({f"torch {run.versions['torch']}" for run in runs})
    return f"{'; '.join(devices)}; {', '.join(versions)}"


def epochs_table(name: str) -> str:
    """The numbers behind a chart: an epoch a line, the mean over seeds."""
    runs = load(name)
    if not runs:
        return "No record yet."
    log = published_log(name)
    head = "| epoch | learning rate | train % | test % | lowest test % |"
    lines = [head + (" published test % |" if log else ""), "|--:|--:|--:|--:|--:|"]
    lines[1] += "--:|" if log else ""
    for index, rows in enumerate(by_epoch(runs)):
        test = [row.test_accuracy for row in rows]
        cells = [
            f"{rows[0].epoch + 1}",
            f"{rows[0].lr:.4f}",
            spread([row.train_accuracy for row in rows]),
            spread(test),
            f"{min(test):.2f}",
        ]
        if log:
            cells.append(f"{log[index]['test_accuracy_percent']:.2f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def timing_table() -> str:
    """Where the seconds of an epoch go, by experiment."""
    lines = [
        "| experiment | parameters | runs | images a second, training | s/epoch: data "
        "| forward and backward | test |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name in NAMES:
        rows = [row for run in load(name) for row in run.rows]
        if not rows:
            continue
        median = statistics.median
        lines.append(
            f"| {name} | {load(name)[0].parameters:,} | {len(load(name))} "
            f"| {median(r.images_per_second for r in rows):,.0f} "
            f"| {median(r.seconds_data for r in rows):.1f} "
            f"| {median(r.seconds_compute for r in rows):.1f} "
            f"| {median(r.seconds_test for r in rows):.1f} |"
        )
    return "\n".join(lines)


def _of_experiment(name: str) -> dict[str, str]:
    """Numbers of one experiment that pages quote."""
    runs = load(name)
    keys = [
        "parameters",
        "seeds",
        "train",
        "test",
        "gap",
        "best",
        "lowest",
        "held",
        "first",
        "reached",
        "seconds",
        "minutes",
        "test_epoch_6",
        "test_epoch_7",
        "published_last_train",
        "published_last_test",
    ]
    numbers = dict.fromkeys(keys, NONE)
    if name in PUBLISHED:
        train, test = PUBLISHED[name]
        numbers |= {"published_train": f"{train:.2f}", "published_test": f"{test:.2f}"}
    log = published_log(name)
    for kind in ("train", "test") if log else ():
        numbers[f"published_last_{kind}"] = f"{log[-1][f'{kind}_accuracy_percent']:.2f}"
    if runs:
        last = [run.rows[-1] for run in runs]
        epochs = by_epoch(runs)
        best = [run.best.test_accuracy for run in runs if run.best]
        numbers |= {
            "parameters": f"{runs[0].parameters:,}",
            "seeds": str(len(runs)),
            "train": spread([row.train_accuracy for row in last]),
            "test": spread([row.test_accuracy for row in last]),
            "gap": spread([row.train_accuracy - row.test_accuracy for row in last]),
            "best": f"{max(best):.2f}",
            "lowest": f"{lowest_of_last(runs):.2f}",
            "held": f"{sum(run.held() for run in runs)} of {len(runs)}",
            "first": spread([run.rows[0].test_accuracy for run in runs]),
            "reached": f"{sum(value >= 99.4 for value in best)} of {len(runs)}",
            "seconds": f"{seconds_an_epoch(runs):.0f}",
            "test_epoch_6": spread([row.test_accuracy for row in epochs[5]]),  # counted from 1
            "test_epoch_7": spread([row.test_accuracy for row in epochs[6]]),
            "minutes": f"{statistics.median(run.seconds for run in runs) / 60:.0f}",
        }
    return {f"{name}.{key}": value for key, value in numbers.items()}


def _step(earlier: str, name: str) -> str:
    """By how much the mean of the last epoch differs between two experiments."""
    if not (load(earlier) and load(name)):
        return NONE
    before, after = (
        statistics.mean(run.rows[-1].test_accuracy for run in load(one)) for one in (earlier, name)
    )
    return f"{after - before:+.2f}"


def _replayed(name: str) -> str:
    """Test accuracy of the replay's last epoch, on mnist-mini."""
    path = RECORDS / "replay" / f"{name}.json"
    return f"{Run.load(path).rows[-1].test_accuracy:.1f}" if path.exists() else NONE


def _cost(runs: list[Run]) -> dict[str, str]:
    """What an official grade of three seeds costs a core, by the plain path of our records."""
    if not runs:
        return {"grade.minutes": NONE, "grade.hours_30": NONE, "grade.hours_300": NONE}
    minutes = 3 * statistics.median(run.seconds for run in runs) / 60
    hours = {f"grade.hours_{n}": f"{n * minutes / 60:.0f}" for n in (30, 300)}
    return {"grade.minutes": f"{minutes:.0f}"} | hours


def numbers() -> dict[str, str]:
    """Every number that a page may quote, by its name."""
    found: dict[str, str] = {}
    for name in NAMES:
        found |= _of_experiment(name)
    first = [run.rows[-1].test_accuracy for run in load("one_epoch_25k")]
    found["one_epoch_25k.seeds"] = str(len(first))
    found["one_epoch_25k.test"] = spread(first) if first else NONE
    found["conditions"] = conditions([run for name in NAMES for run in load(name)])
    for earlier, name in pairwise(PUBLISHED):
        found[f"{name}.step"] = _step(earlier, name)
    for name in PUBLISHED:
        found[f"replay.{name}"] = _replayed(name)
    found |= _cost(load("reference"))
    error = 100 * math.sqrt(0.994 * 0.006 / 10_000)
    found["binomial.error"] = f"{error:.3f}"
    found["binomial.images"] = f"{error / 100 * 10_000:.1f}"
    return found


def texts() -> dict[str, str]:
    """All that this file makes."""
    made = {"generated/numbers.json": json.dumps(numbers(), indent=1) + "\n"}
    made["generated/experiments.md"] = experiments_table("{name}.md").replace(
        "[reference](reference.md)", "reference"
    )
    made["generated/spread.md"] = spread_table()
    made["generated/timing.md"] = timing_table()
    for name in NAMES:
        made[f"generated/{name}-epochs.md"] = epochs_table(name)
    return made
