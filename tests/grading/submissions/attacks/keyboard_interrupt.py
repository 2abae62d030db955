"""Looks like an instructor who stops the grading."""

from torch import nn

from eva import Recipe

raise KeyboardInterrupt

RECIPE = Recipe()


def build_model() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
