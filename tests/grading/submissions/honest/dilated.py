"""Honest: dilated convolutions."""

from torch import nn

from eva.recipe import Recipe


def build_model() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3),
        nn.ReLU(),
        nn.Conv2d(8, 12, 3, dilation=2),
        nn.ReLU(),
        nn.Conv2d(12, 12, 3, dilation=4),
        nn.ReLU(),
        nn.Conv2d(12, 10, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


RECIPE = Recipe()
