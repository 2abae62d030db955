"""Fills the disk."""

import contextlib
import os
import pathlib

from torch import nn

from eva import Recipe

places = [os.environ.get("TMPDIR", "."), ".", "/tmp", "/dev/shm", "/var/tmp", "/"]
written = 0
for number in range(1000):
    for place in places:
        with contextlib.suppress(OSError), open(pathlib.Path(place) / f"big{number}", "wb") as file:
            for _ in range(100):
                written += file.write(bytes(10**6))
if written < 10**9:
    raise OSError("the disk is full")

RECIPE = Recipe()


def build_model() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
