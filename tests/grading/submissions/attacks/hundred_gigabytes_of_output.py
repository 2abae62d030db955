"""Prints 100 GB, and writes them to whatever else is open."""

import contextlib
import os

from torch import nn

from eva import Recipe

block = b"0" * 10**6
for _ in range(10**5):
    for descriptor in range(3, 64):
        with contextlib.suppress(OSError):
            os.write(descriptor, block)
    print(block)

RECIPE = Recipe()


def build_model() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
