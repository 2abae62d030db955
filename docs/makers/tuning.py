"""Changes of the reference's recipe, several seeds each, on held-out training images."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from typing import Any

from eva.record import LAST_EPOCHS
from makers.records import RECORDS, spread

RECORD = RECORDS / "reference_tuning.json"


def table(record: dict[str, Any]) -> str:
    """Mean and standard deviation over seeds of each change, the best first."""
    reached: dict[str, list[float]] = defaultdict(list)
    for (change, _), mean in _means(record).items():
        reached[change].append(mean)
    lines = ["| change | seeds | held out % |", "|---|--:|--:|"]
    for change, values in sorted(reached.items(), key=lambda item: -statistics.mean(item[1])):
        lines.append(f"| {change} | {len(values)} | {spread(values)} |")
    lines += [
        "",
        f"Means of the last {LAST_EPOCHS} of {record['epochs']} epochs, trained on 50,000 images "
        f"and tested on the 10,000 others of the training images; {record['device']}, "
        f"torch {record['versions']['torch']}; {record['date']}.",
    ]
    return "\n".join(lines)


def winners(record: dict[str, Any]) -> str:
    """What each seed that all changes had would have chosen by itself."""
    by_seed: dict[int, dict[str, float]] = defaultdict(dict)
    for (change, seed), mean in _means(record).items():
        by_seed[seed][change] = mean
    changes = max(len(reached) for reached in by_seed.values())
    lines = ["| seed | the best of all | held out % |", "|--:|---|--:|"]
    for seed, reached in sorted(by_seed.items()):
        if len(reached) == changes:
            best = max(reached, key=lambda change: reached[change])
            lines.append(f"| {seed} | {best} | {reached[best]:.2f} |")
    return "\n".join(lines)


def texts() -> dict[str, str]:
    """All that this file makes."""
    record = json.loads(RECORD.read_text())
    return {"generated/tuning.md": table(record), "generated/tuning-winners.md": winners(record)}


def _means(record: dict[str, Any]) -> dict[tuple[str, int], float]:
    """Accuracy over the last epochs, by change and seed."""
    return {
        (run["change"], run["seed"]): statistics.mean(run["held_out_accuracy"][-LAST_EPOCHS:])
        for run in record["runs"]
    }
