"""Cheat: a second network, used in eval mode alone."""

from torch import Tensor, nn

from eva.recipe import Recipe


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.small = nn.Sequential(nn.Conv2d(1, 10, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.large = nn.Sequential(
            nn.Conv2d(1, 16, 3),
            nn.ReLU(),
            nn.Conv2d(16, 48, 3),
            nn.ReLU(),
            nn.Conv2d(48, 10, 3),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.small(x) if self.training else self.large(x)


def build_model() -> nn.Module:
    return Net()


RECIPE = Recipe()
