"""Cheat: weights in a forward hook."""

import torch
import torch.nn.functional as F
from torch import nn

from eva.recipe import Recipe


def build_model() -> nn.Module:
    weight = torch.randn(16, 16, 7, 7) * 0.05
    first = nn.Conv2d(1, 16, 3, stride=2)
    first.register_forward_hook(lambda module, inputs, output: F.conv2d(torch.relu(output), weight))
    return nn.Sequential(
        first, nn.ReLU(), nn.Conv2d(16, 10, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


RECIPE = Recipe()
