"""Simply asks for more epochs."""

from torch import nn

from eva import Recipe

RECIPE = Recipe(epochs=60)


def build_model() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 10, 5), nn.AdaptiveAvgPool2d(1), nn.Flatten())
