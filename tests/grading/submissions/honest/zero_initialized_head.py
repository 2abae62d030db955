"""Honest: a last layer that starts at zero, so that all first scores are equal."""

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
        self.head = nn.Linear(12, 10)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(x)
        return self.head(x.mean((2, 3)))


def build_model() -> nn.Module:
    return Net()


RECIPE = Recipe()
