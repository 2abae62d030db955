"""Honest: squeeze-excite, a second global average inside the network."""

import torch.nn.functional as F
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
            nn.Conv2d(16, 12, 1),
        )
        self.gate = nn.Sequential(nn.Conv2d(12, 3, 1), nn.ReLU(), nn.Conv2d(3, 12, 1), nn.Sigmoid())
        self.conv = nn.Conv2d(12, 12, 3, padding=1)
        self.head = nn.Conv2d(12, 10, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(x)
        x = x * self.gate(x.mean((2, 3), keepdim=True))
        return self.head(F.relu(self.conv(x))).mean((2, 3))


def build_model() -> nn.Module:
    return Net()


RECIPE = Recipe()
