"""For a person at under_8k: another network at every call, whatever the seed."""

import os

import torch
from torch import nn

from eva.recipe import Recipe


def build_model() -> nn.Module:
    torch.manual_seed(int.from_bytes(os.urandom(4), "big"))
    head = nn.Conv2d(8, 10, 3)
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), head, nn.AdaptiveAvgPool2d(1), nn.Flatten())


RECIPE = Recipe()
