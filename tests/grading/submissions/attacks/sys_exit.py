"""Leaves politely, with success."""

import sys

from torch import nn

from eva import Recipe

sys.exit(0)

RECIPE = Recipe()


def build_model() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
