"""Honest: weight normalization through torch.nn.utils.parametrizations."""

import torch
from torch import nn

from eva.recipe import Recipe


def build_model() -> nn.Module:
    norm = torch.nn.utils.parametrizations.weight_norm
    return nn.Sequential(
        norm(nn.Conv2d(1, 8, 3)),
        nn.ReLU(),
        nn.MaxPool2d(2),
        norm(nn.Conv2d(8, 16, 3)),
        nn.ReLU(),
        norm(nn.Conv2d(16, 10, 1)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


RECIPE = Recipe()
