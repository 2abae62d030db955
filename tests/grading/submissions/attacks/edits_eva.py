"""Edits the installed eva, and PyTorch."""

import contextlib
import os
import pathlib

import torch
from torch import nn

import eva
from eva import Recipe

written = 0
for module in (eva, torch):
    for path in pathlib.Path(module.__file__).parent.glob("**/*.py"):
        with contextlib.suppress(OSError):
            os.chmod(path, 0o666)
        with contextlib.suppress(OSError):
            written += path.open("a").write("raise RuntimeError('edited')")
if not written:
    raise RuntimeError("nothing here can be edited")

RECIPE = Recipe()


def build_model() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
