"""Honest: an `if self.training` in forward, here noise on the activations."""

import torch
from torch import Tensor, nn

from eva.recipe import Recipe


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 16, 3),
            nn.ReLU(),
            nn.Conv2d(16, 10, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(x)
        if self.training:
            x = x + 0.1 * torch.randn_like(x)
        return x.mean((2, 3))


def build_model() -> nn.Module:
    return Net()


RECIPE = Recipe()
