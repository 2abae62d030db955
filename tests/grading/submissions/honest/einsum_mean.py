"""Honest: global average pooling as an einsum and a division."""

import torch
from torch import Tensor, nn

from eva.recipe import Recipe


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU())
        self.head = nn.Conv2d(8, 10, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.head(self.body(x))
        return torch.einsum("bchw->bc", h) / (h.shape[2] * h.shape[3])


def build_model() -> nn.Module:
    return Net()


RECIPE = Recipe()
