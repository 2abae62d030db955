"""Brings augmentation code of its own, which could remember images."""

from torch import Tensor, nn

from eva import Recipe


class Memory:
    kind = "rotation"

    def __call__(self, images: Tensor) -> Tensor:
        return images


RECIPE = Recipe(augment=(Memory(),))


def build_model() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 10, 5), nn.AdaptiveAvgPool2d(1), nn.Flatten())
