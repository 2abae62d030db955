"""The floor: forward, backward and step on one fixed batch, which no epoch of training can beat.

Prints ``{"variant", "seconds"}`` of a step for each way to run it; compiling is left out where
there is no compiler.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from itertools import product

import torch
import torch.nn.functional as F

from peers.common import DECAY, LR, MOMENTUM, device, network, options

REPEATS = 3
FORMATS = {"": torch.contiguous_format, "channels_last": torch.channels_last}


def seconds_of_a_step(
    width: int, batch: int, steps: int, layout: torch.memory_format, bf16: bool, compiled: bool
) -> float:
    """The best of a few means of so many steps, after a warm-up."""
    where = device()
    model = network(width).to(where, memory_format=layout)
    forward = torch.compile(model) if compiled else model
    optimizer = torch.optim.SGD(
        model.parameters(), lr=LR, momentum=MOMENTUM, nesterov=True, weight_decay=DECAY
    )
    images = torch.randn(batch, 1, 28, 28, device=where).to(memory_format=layout)
    labels = torch.randint(0, 10, (batch,), device=where)

    def run(steps: int) -> float:
        started = time.perf_counter()
        for _ in range(steps):
            with torch.autocast(where, torch.bfloat16, enabled=bf16):
                scores = forward(images)
            loss = F.cross_entropy(scores.float(), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if where == "cuda":
            torch.cuda.synchronize()
        return (time.perf_counter() - started) / steps

    run(5)
    return min(run(steps) for _ in range(REPEATS))


def main() -> None:
    """Measure all variants."""
    chosen = options()
    compilers = (False, True) if any(map(shutil.which, ("c++", "g++", "clang++"))) else (False,)
    for compiled, bf16, layout in product(compilers, (False, True), FORMATS):
        words = ["compiled" * compiled, "bf16" * bf16, layout]
        name = ", ".join(filter(None, words)) or "eager"
        seconds = seconds_of_a_step(
            chosen.width, chosen.batch, chosen.steps, FORMATS[layout], bf16, compiled
        )
        sys.stdout.write(json.dumps({"variant": name, "seconds": seconds}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
