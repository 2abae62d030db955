"""Multiply-adds of every classification model of torchvision against PyTorch's own counter.

    python tests/benchmarks/check_mult_adds.py

Prints the models that differ by more than 1 % and writes docs/records/benchmarks/mult_adds.json.
Models live on the meta device, so nothing is computed. Attention runs as the matrix products that
it is: PyTorch's counter has no formula for the fused operation of a CPU.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from eva.model_summary import summary
from eva.model_summary.counts import products
from eva.rf import trace
from eva.training.machine import describe_versions

OUT = Path(__file__).parents[2] / "docs" / "records" / "benchmarks" / "mult_adds.json"
LIMIT = 0.01
NEEDS_NUMBERS = ("regnet", "swin_v2")  # their constructors compute with tensors
KNOWN = {str(packet).removeprefix("aten.") for packet in flop_registry}


def build(name: str) -> torch.nn.Module:
    """A model on the meta device, with default arguments."""
    options: dict[str, Any] = {"weights": None}
    if name in ("googlenet", "inception_v3"):
        options["init_weights"] = False
    with torch.device("cpu" if name.startswith(NEEDS_NUMBERS) else "meta"):
        model: torch.nn.Module = torchvision.models.get_model(name, **options)
    return model.eval()


def side_of(name: str) -> int:
    """Pixels along a side: 224, but for the models that take no such images."""
    return 299 if name == "inception_v3" else 224


def measure(name: str) -> dict[str, Any]:
    """Both counts of one model, and the operations with products that PyTorch does not know."""
    size = (3, side_of(name), side_of(name))
    model = build(name)
    ours = summary(model, size).mult_adds
    found = {op.name.partition(".")[2] for op in trace(model, size).ops if products(op)}
    model = model.to("meta")
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        model(torch.empty(1, *size, device="meta"))
    theirs = counter.get_total_flops() // 2
    assert ours is not None
    return {
        "model": name,
        "input": list(size),
        "eva": ours,
        "pytorch": theirs,
        "difference": ours / theirs - 1,
        "unknown_to_pytorch": sorted(found - KNOWN),
    }


def main() -> None:
    """Run the command line."""
    names = torchvision.models.list_models(module=torchvision.models)
    rows = []
    for name in names:
        rows.append(measure(name))
        sys.stderr.write(f"{name}\n")
        row = rows[-1]
        if abs(row["difference"]) > LIMIT or row["unknown_to_pytorch"]:
            sys.stdout.write(f"{row}\n")
    worst = max(abs(row["difference"]) for row in rows)
    sys.stdout.write(f"{len(rows)} models, largest difference {worst:.4%}\n")
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "versions": describe_versions() | {"torchvision": torchvision.__version__},
        "limit": LIMIT,
        "models": rows,
    }
    OUT.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
