"""Cheat: trained weights in the source, as the first values of honest parameters."""

import torch
from torch import Tensor, nn

from eva.recipe import Recipe

WEIGHTS = [
    -0.31,
    0.24,
    0.16,
    0.05,
    -0.49,
    -0.28,
    0.72,
    0.13,
    0.04,
    -0.12,
    -0.21,
    -0.3,
    -0.37,
    0.33,
    -0.12,
    -0.93,
    0.08,
    0.04,
    -0.09,
    -0.01,
    -0.03,
    0.11,
    0.32,
    -0.36,
    0.04,
    -0.11,
    -0.03,
    -0.03,
    -0.04,
    0.41,
    0.29,
    -0.78,
    -0.64,
    -0.09,
    -0.19,
    0.34,
    0.4,
    0.06,
    -0.41,
    0.24,
    0.12,
    -0.16,
    0.18,
    0.3,
    0.51,
    0.31,
    0.01,
    0.06,
    -0.19,
    -0.07,
    0.25,
    -0.2,
    -0.18,
    -0.31,
    0.19,
    0.28,
    -0.31,
    -0.12,
    -0.01,
    -0.28,
    -0.1,
    0.17,
    -0.12,
    -0.07,
    -0.19,
    -0.36,
    0.05,
    -0.28,
    -0.08,
    0.26,
    0.01,
    0.52,
    0.17,
    0.11,
    -0.13,
    -0.25,
    0.19,
    -0.39,
    0.17,
    0.15,
    -0.32,
    0.06,
    0.18,
    -0.29,
    -0.08,
    -0.09,
    0.35,
    0.27,
    -0.14,
    -0.28,
    0.03,
    -0.07,
    -0.33,
    -0.02,
    0.17,
    -0.05,
]


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
        self.head = nn.Linear(12, 8, bias=False)
        self.head.weight.data = torch.tensor(WEIGHTS).view(8, 12)
        self.last = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(x)
        return self.last(self.head(x.mean((2, 3))))


def build_model() -> nn.Module:
    return Net()


RECIPE = Recipe()
