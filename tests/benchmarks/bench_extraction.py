"""The static part of an official grade, and training an exported graph, both in seconds.

    python tests/benchmarks/bench_extraction.py [--rounds 10] [--steps 200]

Prints both and writes docs/records/benchmarks/extraction.json. Static: each submission goes through
the sandbox of the best tier and checks 1 to 6, by the warm parent, in turn with a fresh Python that
only imports torch. Training: exp5 and its graph take the same steps on mnist-mini, one epoch each
in turn, in one process with one thread.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from eva.data import load_mini
from eva.experiments import exp5
from eva.grading.checks.rubric import load_assignment
from eva.grading.graph.execution import GraphModule
from eva.grading.graph.export import export_graph
from eva.grading.judge.judge import judge_static
from eva.grading.sandbox.sandbox import Sandbox
from eva.training.machine import describe_device, describe_versions
from eva.training.trainer import Trainer

ROOT = Path(__file__).parents[2]
OUT = ROOT / "docs" / "records" / "benchmarks" / "extraction.json"
SUBMISSIONS = sorted((ROOT / "tests" / "grading" / "submissions" / "honest").glob("*.py"))


def seconds(call: Callable[[], object]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def fresh_python() -> None:
    """A new interpreter that imports torch and ends."""
    subprocess.run([sys.executable, "-c", "import torch"], check=True)


def measure_static(rounds: int) -> dict[str, Any]:
    """Seconds of sandbox, export and checks; the first one starts the warm parent."""
    rubric = load_assignment("mnist_8k")
    walls, checks, fresh = [], [], []
    with Sandbox() as sandbox, tempfile.TemporaryDirectory() as top:
        for path in SUBMISSIONS[: rounds + 1]:
            shutil.copy(path, Path(top) / "submission.py")
            started = time.perf_counter()
            extraction = sandbox.extract(Path(top))
            extracted = time.perf_counter()
            judge_static(extraction, rubric)
            walls.append(time.perf_counter() - started)
            checks.append(time.perf_counter() - extracted)
            fresh.append(seconds(fresh_python))
    return {
        "tier": sandbox.tier.value,
        "submissions": len(walls) - 1,
        "first_seconds": walls[0],
        "median_seconds": statistics.median(walls[1:]),
        "worst_seconds": max(walls[1:]),
        "median_of_which_judge_seconds": statistics.median(checks[1:]),
        "fresh_python_import_torch_median_seconds": statistics.median(fresh[1:]),
        "ratio_to_fresh_python": statistics.median(
            wall / other for wall, other in zip(walls[1:], fresh[1:], strict=True)
        ),
    }


def measure_training(steps: int, rounds: int) -> dict[str, Any]:
    """Seconds of the same steps by model and by graph, in turn; the order changes every round."""
    data = load_mini()
    recipe = exp5.RECIPE.model_copy(update={"epochs": 1, "batch_size": 128})
    chosen = torch.arange(steps * recipe.batch_size) % len(data.train_labels)
    data = replace(
        data,
        train_images=data.train_images[chosen],
        train_labels=data.train_labels[chosen],
        test_images=data.test_images[:10],
        test_labels=data.test_labels[:10],
    )
    graph = export_graph(exp5.build_model(), (1, 28, 28))
    makers: dict[str, Callable[[], torch.nn.Module]] = {
        "eager": exp5.build_model,
        "graph": lambda: GraphModule(graph),
    }
    pairs: list[dict[str, float]] = []
    for index in range(rounds + 1):
        pair = {}
        for name in sorted(makers, reverse=index % 2 == 1):
            trainer = Trainer(makers[name](), recipe, data, device="cpu", seed=index)
            pair[name] = trainer.fit().rows[0].seconds_train
        pairs.append(pair)
    pairs = pairs[1:]
    return {
        "model": "exp5",
        "steps": steps,
        "batch_size": recipe.batch_size,
        "rounds": rounds,
        "eager_median_seconds": statistics.median(pair["eager"] for pair in pairs),
        "graph_median_seconds": statistics.median(pair["graph"] for pair in pairs),
        "ratio_median_of_pairs": statistics.median(pair["graph"] / pair["eager"] for pair in pairs),
        "ratios": [pair["graph"] / pair["eager"] for pair in pairs],
    }


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="Submissions after the first.")
    parser.add_argument("--steps", type=int, default=200)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    load_before = os.getloadavg()
    static = measure_static(arguments.rounds)
    training = measure_training(arguments.steps, 5)
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "device": describe_device(torch.device("cpu"), bf16=False, compiled=False).model_dump(),
        "versions": describe_versions(),
        "cpus": os.cpu_count(),
        "load_average_before_and_after": [load_before[0], os.getloadavg()[0]],
        "static": static,
        "training": training,
    }
    for name, part in (("static", static), ("training", training)):
        sys.stdout.write(f"{name}: {json.dumps(part)}\n")
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
