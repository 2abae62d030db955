"""Honest: depthwise-separable blocks."""

from torch import nn

from eva.recipe import Recipe


def separable(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def build_model() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3),
        nn.ReLU(),
        separable(16, 24),
        nn.MaxPool2d(2),
        separable(24, 32),
        nn.MaxPool2d(2),
        separable(32, 32),
        nn.Conv2d(32, 10, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


RECIPE = Recipe()
