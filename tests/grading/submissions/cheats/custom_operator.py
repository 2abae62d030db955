"""Cheat: an operator of one's own that carries weights."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eva.recipe import Recipe

WEIGHT = torch.randn(32, 16, 5, 5) * 0.05


@torch.library.custom_op("cheat::hidden", mutates_args=())
def hidden(x: Tensor) -> Tensor:
    return F.conv2d(x, WEIGHT)


@hidden.register_fake
def _(x: Tensor) -> Tensor:
    return x.new_empty(x.shape[0], 32, x.shape[2] - 4, x.shape[3] - 4)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 16, 3, stride=2)
        self.head = nn.Conv2d(32, 10, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        x = hidden(x)
        return self.head(torch.relu(x)).mean((2, 3))


def build_model() -> nn.Module:
    return Net()


RECIPE = Recipe()
