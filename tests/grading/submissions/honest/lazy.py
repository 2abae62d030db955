"""Honest: nn.LazyConv2d and nn.LazyBatchNorm2d."""

from torch import nn

from eva.recipe import Recipe


def build_model() -> nn.Module:
    return nn.Sequential(
        nn.LazyConv2d(8, 3),
        nn.LazyBatchNorm2d(),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.LazyConv2d(16, 3),
        nn.ReLU(),
        nn.LazyConv2d(10, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


RECIPE = Recipe()
