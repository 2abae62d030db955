"""The static checks of the judge, in seconds of processor time.

    python tests/benchmarks/bench_checks.py [--rounds 3]

Records are made of exp5, of small networks of a few kinds, and of one of 900 operations. Each goes
through reading, admission and checks 1 to 6; nothing is remembered between two rounds. The first
check of a process pays for PyTorch's own start and is told apart. Once more, the record is read
again as it is for every further seed. Prints a table and writes
docs/records/benchmarks/checks.json. Processor time is what the process used, so a busy machine
changes it little.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import nn

from eva.experiments import exp5
from eva.grading.checks.rubric import load_assignment
from eva.grading.graph.candidate import Candidate
from eva.grading.graph.export import export_graph
from eva.grading.judge import admitted
from eva.grading.judge.judge import judge_static
from eva.grading.sandbox.outcome import Extraction
from eva.grading.sandbox.record import LENGTH
from eva.grading.sandbox.tiers import Tier
from eva.recipe import Recipe
from eva.training.machine import describe_device, describe_versions

OUT = Path(__file__).parents[2] / "docs" / "records" / "benchmarks" / "checks.json"


def deep(blocks: int) -> nn.Module:
    """Four operations a block in train mode, three in eval mode."""
    layers: list[nn.Module] = [nn.Conv2d(1, 8, 3, stride=2)]
    for _ in range(blocks):
        layers += [nn.Conv2d(8, 8, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(8, 10, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def plain(width: int, norm: Callable[[int], nn.Module]) -> nn.Module:
    """Two convolutions, a pool and a mean."""
    return nn.Sequential(
        nn.Conv2d(1, width, 3), norm(width), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3), norm(2 * width), nn.ReLU(), nn.Dropout(0.1),
        nn.Conv2d(2 * width, 10, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip


SMALL = {
    "exp5": exp5.build_model,
    "batch norm": lambda: plain(8, nn.BatchNorm2d),
    "group norm": lambda: plain(12, lambda n: nn.GroupNorm(2, n)),
    "instance norm": lambda: plain(8, lambda n: nn.InstanceNorm2d(n, affine=True)),
    "no norm": lambda: plain(16, lambda n: nn.Identity()),
}


def record(model: nn.Module) -> tuple[Extraction, int]:
    """What a sandbox would give, and how many operations it trains."""
    graph = export_graph(model, (1, 28, 28))
    candidate = Candidate(model="Net", recipe=Recipe(), graph=graph)
    text = json.dumps(candidate.to_json()).encode()
    captured = LENGTH.pack(len(text)) + text + graph.to_bytes()
    found = Extraction(
        tier=Tier.A, status="done", captured=captured, message="", trace=None, seconds=0.0
    )
    return found, len(graph.train.nodes)


def measure(extraction: Extraction) -> float:
    """Processor seconds of reading, admission and all static checks."""
    rubric = load_assignment("mnist_8k")
    admitted._read.cache_clear()
    started = time.process_time()
    judge_static(extraction, rubric)
    return time.process_time() - started


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3)
    rounds: int = parser.parse_args().rounds
    torch.set_num_threads(1)
    before = os.getloadavg()[0]
    records = {name: record(build()) for name, build in SMALL.items()}
    first = measure(records["exp5"][0])
    rows: list[dict[str, Any]] = [
        {
            "network": name,
            "operations": count,
            "seconds": [round(measure(found), 3) for _ in range(rounds)],
        }
        for name, (found, count) in records.items()
    ]
    large, operations = record(deep(224))
    nine_hundred = measure(large)
    extraction = records["exp5"][0]
    measure(extraction)
    started = time.process_time()
    admitted.read_record(extraction)
    again = time.process_time() - started
    everything = [s for row in rows for s in row["seconds"]]
    value = {
        "date": datetime.now(UTC).date().isoformat(),
        "device": describe_device(torch.device("cpu"), bf16=False, compiled=False).model_dump(),
        "versions": describe_versions(),
        "load_average_before_and_after": [before, os.getloadavg()[0]],
        "unit": "seconds of processor time",
        "first": round(first, 3),
        "median": round(statistics.median(everything), 3),
        "networks": rows,
        "large": {"operations": operations, "seconds": round(nine_hundred, 3)},
        "read_again_for_another_seed": round(again, 5),
    }
    OUT.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(value, indent=1))


if __name__ == "__main__":
    main()
