"""The benchmark of training on a GPU, from its record."""

from __future__ import annotations

import json
import statistics
from typing import Any

from eva.record import LAST_EPOCHS, TARGET
from makers.records import RECORDS, packages, spread
from makers.training import growth, growth_table, middle

RECORD = RECORDS / "benchmarks" / "cuda.json"


def table(record: dict[str, Any]) -> str:
    """15 epochs of eva, cold and warm, and of the peers."""
    warm = [row["seconds"] for row in record["warm"]]
    median = statistics.median(warm)
    rows = {
        f"eva, warm ({len(warm)} trainings)": (_range(warm), ""),
        f"eva, cold ({len(record['cold'])} processes)": (_range(record["cold"]), ""),
        "eva, started again, kernels compiled": (_range(record["restart"]), ""),
        "eva, first start of all, no byte code": (_range(record["first"]), ""),
    }
    for name, row in sorted(record["peers"].items(), key=lambda item: item[1]["epoch_seconds"]):
        seconds = 15 * row["epoch_seconds"]
        workers = f" {row['workers']} workers" if row["workers"] else ""
        rows[name.removesuffix(workers) + workers] = (f"{seconds:.0f}", f"{seconds / median:.0f}")
    lines = ["| 15 epochs | s | times eva, warm |", "|---|--:|--:|"]
    lines += [f"| {name} | {seconds} | {ratio} |" for name, (seconds, ratio) in rows.items()]
    versions = packages(record["peers"].values())
    lines += ["", f"{record['device']['name']}, {versions}, CUDA {record['versions']['cuda']}; "]
    lines[-1] += f"{record['date']}. Medians, with the lowest and the highest. Repeat it with:"
    return "\n".join([*lines, "", f"```sh\n{record['command']}\n```"])


def accuracy(record: dict[str, Any]) -> str:
    """What the warm trainings reached."""
    runs = [row["test_accuracy"] for row in record["warm"]]
    held = sum(min(run[-LAST_EPOCHS:]) >= TARGET for run in runs)
    return (
        f"The {len(runs)} warm trainings, seeds 0 to {len(runs) - 1}, end at "
        f"{spread([run[-1] for run in runs])} % of the test images; "
        f"{held} of {len(runs)} hold {TARGET:.2f} % over the last {LAST_EPOCHS} epochs."
    )


def step(record: dict[str, Any]) -> str:
    """Microseconds of a captured step."""
    lines = ["| a step, captured | µs |", "|---|--:|"]
    for name, seconds in record["step"].items():
        precision = "" if "bf16" in name else ", float32"
        lines.append(f"| {name}{precision} | {1e6 * seconds:.0f} |")
    return "\n".join(lines)


def convolutions(record: dict[str, Any]) -> str:
    """Microseconds of a convolution with its gradients, by channels."""
    lines = ["| channels | cuDNN, µs | ours, µs |", "|--:|--:|--:|"]
    for row in record["convolutions"]:
        lines.append(f"| {row['channels']} | {1e6 * row['cudnn']:.0f} | {1e6 * row['ours']:.0f} |")
    return "\n".join(lines)


def texts() -> dict[str, str]:
    """All that this file makes; a sentence in the place of a record that is not there."""
    record = json.loads(RECORD.read_text()) if RECORD.exists() else None
    makers = (table, accuracy, step, convolutions)
    texts = {f"{make.__name__}.md": make for make in makers}
    texts |= {"growth.html": growth, "growth.md": growth_table}
    return {
        f"generated/cuda-{name}": make(record) if record else "No record yet."
        for name, make in texts.items()
    }


def _range(values: list[float]) -> str:
    median = statistics.median(values)
    return middle({"median": median, "lowest": min(values), "highest": max(values)})
