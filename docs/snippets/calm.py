"""The fourth step of the worked path: a learning rate that falls."""

from torch import nn

from eva.blocks import conv_block, gap_head, transition
from eva.recipe import SGD, Interpolation, Recipe, Rotation, Scale, Shear, Shift, Step


def build_model() -> nn.Module:
    return nn.Sequential(
        conv_block(1, 8, 8, 8),
        transition(),
        conv_block(8, 16, 16, 16),
        gap_head(16),
    )


RECIPE = Recipe(
    epochs=15,
    batch_size=128,
    optimizer=SGD(lr=0.1, momentum=0.9, nesterov=True),
    schedule=Step(every=6, gamma=0.2),
    augment=(
        Rotation(degrees=12),
        Shear(degrees=12),
        Scale(fraction=0.15),
        Shift(pixels=2.8),
    ),
    interpolation=Interpolation.NEAREST,
    weight_decay=5e-4,
)
