"""At most 3,500 parameters: the same, narrower, and no convolution used twice.

Target: A mean of 99.35 % in the last epoch.
Change: Fewer channels than the network of 5,000; what is left is spent on the last layer.
Result: Reached, a mean of 99.41 % over 10 seeds.
"""

from torch import nn

from eva.blocks import gap_head
from eva.experiments.frontier.network import conv, once, separable
from eva.recipe import SGD, Recipe, Rotation, Scale, Shift, Triangular


def build_model() -> nn.Sequential:
    """3,472 parameters."""
    return nn.Sequential(
        once(conv(1, 8), 8),
        once(conv(8, 10), 10),
        nn.MaxPool2d(kernel_size=2),
        once(separable(10, 24), 24),
        once(separable(24, 26), 26),
        once(separable(26, 30), 30),
        gap_head(30),
    )


RECIPE = Recipe(
    batch_size=64,
    optimizer=SGD(lr=0.1, nesterov=True),
    schedule=Triangular(peak_at=0.2),
    augment=(Rotation(degrees=10), Scale(fraction=0.05), Shift(pixels=1.5)),
    weight_decay=1e-4,
    ema=0.999,
)
