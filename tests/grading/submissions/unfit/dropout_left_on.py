"""Fails at under_8k: functional dropout that is on in evaluation, too."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eva.recipe import Recipe


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Conv2d(1, 8, 3, stride=2), nn.Conv2d(8, 10, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.dropout(torch.relu(self.first(x)), 0.1)
        return self.head(x).mean((2, 3))


def build_model() -> nn.Module:
    return Net()


RECIPE = Recipe()
