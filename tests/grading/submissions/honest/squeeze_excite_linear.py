"""Honest: squeeze-excite with Linear layers and a view, as most write it."""

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
        self.gate = nn.Sequential(nn.Linear(10, 3), nn.ReLU(), nn.Linear(3, 10), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(x)
        batch, channels = x.shape[:2]
        gate = self.gate(x.mean((2, 3))).view(batch, channels, 1, 1)
        return (x * gate.expand_as(x)).mean((2, 3))


def build_model() -> nn.Module:
    return Net()


RECIPE = Recipe()
