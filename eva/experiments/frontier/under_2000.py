"""At most 2,000 parameters: narrower again.

Target: A mean of 99.2 % in the last epoch.
Change: Fewer channels than the network of 3,500, and less weight decay.
Result: Reached, a mean of 99.22 % over 10 seeds.
"""

from torch import nn

from eva.blocks import gap_head
from eva.experiments.frontier.network import conv, once, separable
from eva.recipe import SGD, Recipe, Rotation, Scale, Shift, Triangular


def build_model() -> nn.Sequential:
    """1,976 parameters."""
    return nn.Sequential(
        once(conv(1, 6), 6),
        once(conv(6, 8), 8),
        nn.MaxPool2d(kernel_size=2),
        once(separable(8, 16), 16),
        once(separable(16, 18), 18),
        once(separable(18, 20), 20),
        gap_head(20),
    )


RECIPE = Recipe(
    batch_size=64,
    optimizer=SGD(lr=0.1, nesterov=True),
    schedule=Triangular(peak_at=0.2),
    augment=(Rotation(degrees=10), Scale(fraction=0.05), Shift(pixels=1.5)),
    weight_decay=5e-5,
    ema=0.999,
)
