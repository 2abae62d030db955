"""For a person at recipe: binary weights whose gradient Python code has written."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eva.recipe import Recipe


class Sign(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor) -> Tensor:
        return torch.sign(weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Conv2d(1, 8, 3), nn.Conv2d(8, 10, 1)

    def forward(self, x: Tensor) -> Tensor:
        weight = Sign.apply(self.head.weight) * 0.1
        return F.conv2d(torch.relu(self.first(x)), weight, self.head.bias).mean((2, 3))


def build_model() -> nn.Module:
    return Net()


RECIPE = Recipe()
