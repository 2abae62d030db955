"""A recipe that trains five times as long as it says."""

from torch import nn

from eva import Recipe


class Longer(Recipe):
    def lr(self, step: int, steps_per_epoch: int) -> float:
        return 0.1


RECIPE = Longer()


def build_model() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 10, 5), nn.AdaptiveAvgPool2d(1), nn.Flatten())
