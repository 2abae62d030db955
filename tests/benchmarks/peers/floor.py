"""The floor: forward, backward and step on one fixed batch, which no epoch of training can beat.

Prints ``{"variant", "seconds"}`` of a step for each way to run it; compiling is left out where
there is no compiler. The last, "eva compiled", is no floor but eva's own compiled step.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eva.kernels.compile import compile_model
from eva.kernels.cuda_graphs import Replayed
from peers.common import DECAY, LR, MOMENTUM, device, network, options

REPEATS = 3
FORMATS = {"": torch.contiguous_format, "channels_last": torch.channels_last}


def make_step(
    model: nn.Module, forward: Callable[[Tensor], Tensor], images: Tensor, bf16: bool
) -> Callable[[], None]:
    """A step on one fixed batch: ``forward`` runs the model, as it is or compiled."""
    optimizer = torch.optim.SGD(
        model.parameters(), lr=LR, momentum=MOMENTUM, nesterov=True, weight_decay=DECAY
    )
    labels = torch.randint(0, 10, (len(images),), device=images.device)

    def step() -> None:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
            scores = forward(images)
        loss = F.cross_entropy(scores.float(), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def seconds_of_a_step(step: Callable[[], None], steps: int) -> float:
    """Mean of so many, after a warm-up; on a GPU the step is captured, as eva's trainer does."""
    step = Replayed(step, torch.device(device()))
    for _ in range(5):
        step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(steps):
        step()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.perf_counter() - started) / steps


def main() -> None:
    """Measure all variants."""
    chosen = options()
    compilers = (False, True) if any(map(shutil.which, ("c++", "g++", "clang++"))) else (False,)
    for compiled, bf16, layout in product(compilers, (False, True), FORMATS):
        words = ["compiled" * compiled, "bf16" * bf16, layout]
        name = ", ".join(filter(None, words)) or "eager"
        model = network(chosen.width).to(device(), memory_format=FORMATS[layout])
        images = torch.randn(chosen.batch, 1, 28, 28, device=device())
        images = images.to(memory_format=FORMATS[layout])
        forward = torch.compile(model) if compiled else model
        report(name, make_step(model, forward, images, bf16), chosen.steps)
    if compilers[-1]:
        model = network(chosen.width).to(device(), memory_format=torch.channels_last)
        images = torch.randn(chosen.batch, 1, 28, 28, device=device())
        forward = compile_model(model, chosen.batch)
        report("eva compiled", make_step(model, forward, images, False), chosen.steps)


def report(name: str, step: Callable[[], None], steps: int) -> None:
    """Print the best of some looks at a step."""
    seconds = min(seconds_of_a_step(step, steps) for _ in range(REPEATS))
    sys.stdout.write(json.dumps({"variant": name, "seconds": seconds}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
