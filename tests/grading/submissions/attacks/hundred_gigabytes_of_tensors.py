"""Allocates 100 GB through PyTorch."""

import torch
from torch import nn

from eva import Recipe

hoard = torch.ones(25 * 10**9)

RECIPE = Recipe()


def build_model() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
