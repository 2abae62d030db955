"""The third step of the worked path: a unit before the average sees a whole digit."""

from torch import nn

from eva.blocks import conv_block, gap_head, transition
from eva.recipe import (
    SGD,
    Brightness,
    Contrast,
    Interpolation,
    RandomCrop,
    Recipe,
    Rotation,
    Scale,
    Shear,
    Shift,
)


def build_model() -> nn.Module:
    return nn.Sequential(
        conv_block(1, 8, 8, 8, dropout=0.03),
        transition(),
        conv_block(8, 16, 16, 16, dropout=0.03),
        gap_head(16),
    )


RECIPE = Recipe(
    epochs=15,
    batch_size=128,
    optimizer=SGD(lr=0.02, momentum=0.9),
    augment=(
        Rotation(degrees=12),
        Shear(degrees=12),
        Scale(fraction=0.15),
        Shift(pixels=2.8),
        RandomCrop(padding=1),
        Brightness(fraction=0.1),
        Contrast(fraction=0.1),
    ),
    interpolation=Interpolation.NEAREST,
)
