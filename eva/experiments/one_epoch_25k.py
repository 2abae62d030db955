"""One epoch, fewer than 25,000 parameters.

Target: 95 % of the test images after one epoch, by at least 2.5 points in every seed.
Change: Small batches, so that one epoch has many steps; a learning rate that rises and falls to
zero within it; no augmentation and no averaging, which need longer than that to pay.
Result: Reached: on a CPU the mean of 10 seeds is 99.27 %, and the lowest seed has 99.15 %.

Chosen among ten on 10,000 training images that were set aside; the test images were looked at once.
"""

from torch import nn

from eva.blocks import gap_head
from eva.experiments.frontier.network import conv, once, separable
from eva.recipe import SGD, Recipe, Triangular


def build_model() -> nn.Sequential:
    """15,800 parameters."""
    return nn.Sequential(
        once(conv(1, 16), 16),
        once(conv(16, 24), 24),
        nn.MaxPool2d(kernel_size=2),
        once(separable(24, 64), 64),
        once(separable(64, 64), 64),
        once(separable(64, 64), 64),
        gap_head(64),
    )


RECIPE = Recipe(
    epochs=1,
    batch_size=32,
    optimizer=SGD(lr=0.1, nesterov=True),
    schedule=Triangular(peak_at=0.2),
    weight_decay=1e-4,
)
