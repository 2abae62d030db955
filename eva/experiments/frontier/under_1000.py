"""At most 1,000 parameters: separable convolutions, the last of them used twice.

Target: A mean of 99.0 % in the last epoch.
Change: Only the first convolution is a full one.
Result: Not reached, a mean of 98.69 % over 6 seeds.
"""

from torch import nn

from eva.blocks import gap_head
from eva.experiments.frontier.network import Repeated, conv, once, separable
from eva.recipe import SGD, Recipe, Rotation, Scale, Shift, Triangular


def build_model() -> nn.Sequential:
    """976 parameters."""
    return nn.Sequential(
        once(conv(1, 6), 6, nn.ReLU),
        once(separable(6, 10), 10, nn.ReLU),
        nn.MaxPool2d(kernel_size=2),
        once(separable(10, 14), 14, nn.ReLU),
        Repeated(separable(14, 14), 14, times=2, act=nn.ReLU),
        gap_head(14),
    )


RECIPE = Recipe(
    optimizer=SGD(lr=0.1, nesterov=True),
    schedule=Triangular(peak_at=0.2),
    augment=(Rotation(degrees=10), Scale(fraction=0.05), Shift(pixels=1.5)),
    weight_decay=5e-5,
    ema=0.998,
)
