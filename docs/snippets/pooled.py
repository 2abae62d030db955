"""The second step of the worked path: convolutions, and an average at the end."""

from torch import nn

from eva.blocks import conv_block, gap_head, transition
from eva.recipe import SGD, Recipe


def build_model() -> nn.Module:
    return nn.Sequential(
        conv_block(1, 8, 8),
        transition(),
        conv_block(8, 16, 16),
        gap_head(16),
    )


RECIPE = Recipe(
    epochs=15,
    batch_size=128,
    optimizer=SGD(lr=0.01, momentum=0.9),
)
