"""Dies of a segmentation fault."""

import ctypes

from torch import nn

from eva import Recipe

ctypes.string_at(0)

RECIPE = Recipe()


def build_model() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
