"""A step of experiment 5's network: plain, compiled, and with what eva changes in it, one by one.

    python tests/benchmarks/bench_folding.py [--rounds 15]

All run in turn, in one process, on one fixed batch of 128 with no data work. Writes
docs/records/benchmarks/folding.json; what counts in it are the ratios within a round.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from contestants import ROOT, conditions, keep
from peers.common import BATCH, network
from peers.floor import make_step, seconds_of_a_step
from torch import Tensor, fx, nn

from eva.kernels.allocator import allocate_from_heap
from eva.kernels.compile import compile_model
from eva.kernels.folding import fold
from eva.kernels.targets import name_calls

OUT = ROOT / "docs" / "records" / "benchmarks" / "folding.json"
STEPS = 20
OURS = "folded, our convolutions"


class PoolWithoutIndices(nn.Module):
    """A max-pool of 2x2 as the largest of four maps, whose gradient keeps no indices."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, H, W) to (batch, channels, H / 2, W / 2)."""
        top = torch.maximum(x[..., ::2, ::2], x[..., ::2, 1::2])
        return torch.maximum(top, torch.maximum(x[..., 1::2, ::2], x[..., 1::2, 1::2]))


def without_indices(model: nn.Module) -> nn.Module:
    """The model with its max-pools of 2x2 replaced."""
    for block in list(model.modules()):
        for name, part in list(block.named_children()):
            if isinstance(part, nn.MaxPool2d):
                setattr(block, name, PoolWithoutIndices())
    return model


def fold_alone(module: fx.GraphModule, inputs: Sequence[Tensor]) -> Callable[..., Any]:
    """Compile with BatchNorms folded, and PyTorch's convolutions."""
    name_calls(module)
    fold(module)
    return torch._dynamo.lookup_backend("inductor")(module, inputs)


WAYS: dict[str, Callable[[nn.Module], Callable[[Tensor], Tensor]]] = {
    "eager": lambda model: model,
    "compiled": lambda model: torch.compile(model, dynamic=False),
    "compiled, pool without indices": lambda model: torch.compile(
        without_indices(model), dynamic=False
    ),
    "folded": lambda model: torch.compile(model, dynamic=False, backend=fold_alone),
    OURS: lambda model: compile_model(model, BATCH),
}


def prepare(way: str, bf16: bool) -> Callable[[], None]:
    """A step in one of the ways."""
    torch.manual_seed(0)
    model = network().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return make_step(model, WAYS[way](model), torch.randn(BATCH, 1, 28, 28), bf16)


def measure(rounds: int, bf16: bool) -> dict[str, Any]:
    """Seconds of a step each way, and each against plain compiling, round by round."""
    ways = [way for way in WAYS if not (bf16 and way == OURS)]  # which are float32's alone
    steps = {way: prepare(way, bf16) for way in ways}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, step in steps.items():
            seconds[way].append(seconds_of_a_step(step, STEPS))
    found = {}
    for way, values in seconds.items():
        ratios = [mine / plain for mine, plain in zip(values, seconds["compiled"], strict=True)]
        found[way] = {
            "seconds": statistics.median(values),
            "to_compiled": statistics.median(ratios),
            "lowest": min(ratios),
            "highest": max(ratios),
        }
    return found


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, default=OUT)
    chosen = parser.parse_args()
    allocate_from_heap()
    record = conditions("bench_folding.py", torch.device("cpu")) | {
        "rounds": chosen.rounds,
        "steps": {
            name: measure(chosen.rounds, name == "bfloat16") for name in ("float32", "bfloat16")
        },
    }
    keep(record, chosen.out)
    print(json.dumps(record["steps"], indent=1))


if __name__ == "__main__":
    main()
