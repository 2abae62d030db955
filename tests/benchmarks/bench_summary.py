"""The complete summary with receptive fields against torchinfo's, in time and memory.

    python tests/benchmarks/bench_summary.py [--rounds 5]

Prints both and writes docs/records/benchmarks/summary.json. Times are of one call each, in turn,
in one process; memory is the growth of the process's peak, each call in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
import torchinfo
import torchvision

from eva.model_summary import summary
from eva.training.machine import describe_device, describe_versions

OUT = Path(__file__).parents[2] / "docs" / "records" / "benchmarks" / "summary.json"
MODELS = ("resnet18", "resnet152", "densenet121", "vit_b_16")
BIG = (3, 4096, 4096)


def ours(model: torch.nn.Module, size: tuple[int, ...]) -> object:
    """Everything: rows, fields and the table as text."""
    return summary(model, size).render("classic")


def theirs(model: torch.nn.Module, size: tuple[int, ...]) -> object:
    """The same of torchinfo, which has no fields."""
    return str(torchinfo.summary(model, (1, *size), verbose=0))


def seconds(call: Callable[[], object]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def measure_time(name: str, rounds: int) -> dict[str, Any]:
    """Medians over rounds in which both run in turn, after one of each that is not counted."""
    model = torchvision.models.get_model(name).eval()
    size = (3, 224, 224)
    pairs = [
        (seconds(lambda: ours(model, size)), seconds(lambda: theirs(model, size)))
        for _ in range(rounds + 1)
    ][1:]
    return {
        "model": name,
        "eva_seconds": statistics.median(a for a, _ in pairs),
        "torchinfo_seconds": statistics.median(b for _, b in pairs),
        "ratio": statistics.median(a / b for a, b in pairs),
    }


def measure_memory(which: str) -> None:
    """In a process of its own: print by how many MB the peak grew."""
    model = torchvision.models.resnet50().eval()
    call = ours if which == "eva" else theirs
    call(model, (3, 64, 64))  # imports and caches are not the question
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    call(model, BIG)
    sys.stdout.write(str((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024))


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", choices=["eva", "torchinfo"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        measure_memory(arguments.memory)
        return
    times = [measure_time(name, arguments.rounds) for name in MODELS]
    memory = {
        which: float(
            subprocess.run(
                [sys.executable, __file__, "--memory", which],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        )
        for which in ("eva", "torchinfo")
    }
    for row in times:
        sys.stdout.write(
            f"{row['model']:<12} eva {row['eva_seconds']:6.3f} s   torchinfo "
            f"{row['torchinfo_seconds']:6.3f} s   ratio {row['ratio']:.2f}\n"
        )
    sys.stdout.write(
        f"resnet50 at 1x3x4096x4096: memory grows by {memory['eva']:,.0f} MB (eva), "
        f"{memory['torchinfo']:,.0f} MB (torchinfo)\n"
    )
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "rounds": arguments.rounds,
        "device": describe_device(torch.device("cpu"), bf16=False, compiled=False).model_dump(),
        "versions": describe_versions() | {"torchinfo": torchinfo.__version__},
        "input": "1x3x224x224, eval mode, default constructors",
        "times": times,
        "resnet50_1x3x4096x4096_growth_mb": memory,
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
