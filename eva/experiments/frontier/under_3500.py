"""At most 3,500 parameters: depthwise-separable convolutions after the pool.

Target: A mean of 99.35 % in the last epoch.
Change: After the pool, a 3x3 kernel for each channel and a 1x1 convolution across channels take
the place of a full 3x3 convolution, at about a sixth of its weights.
"""

from torch import nn

from eva.blocks import gap_head
from eva.experiments.frontier.network import conv, once, separable
from eva.recipe import SGD, Recipe, Rotation, Scale, Shift, Triangular


def build_model() -> nn.Sequential:
    """3,472 parameters."""
    return nn.Sequential(
        once(conv(1, 8), 8, nn.ReLU),
        once(conv(8, 10), 10, nn.ReLU),
        nn.MaxPool2d(kernel_size=2),
        once(separable(10, 24), 24, nn.ReLU),
        once(separable(24, 26), 26, nn.ReLU),
        once(separable(26, 30), 30, nn.ReLU),
        gap_head(30),
    )


RECIPE = Recipe(
    optimizer=SGD(lr=0.1, nesterov=True),
    schedule=Triangular(peak_at=0.2),
    augment=(Rotation(degrees=10), Scale(fraction=0.05), Shift(pixels=1.5)),
    weight_decay=2e-4,
    ema=0.998,
)
