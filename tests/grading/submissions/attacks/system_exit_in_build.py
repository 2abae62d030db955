"""Raises SystemExit where the model is built."""

from torch import nn

from eva import Recipe

RECIPE = Recipe()


def build_model() -> nn.Module:
    raise SystemExit(0)
