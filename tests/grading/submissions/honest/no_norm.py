"""Honest: no normalization at all."""

from torch import nn

from eva.recipe import Recipe


def build_model() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3),
        nn.ReLU(),
        nn.Conv2d(16, 10, 1),
        nn.AvgPool2d(11),
        nn.Flatten(),
    )


RECIPE = Recipe()
