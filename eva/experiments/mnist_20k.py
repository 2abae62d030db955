"""Fewer than 20,000 parameters, fewer than 20 epochs, with BatchNorm and dropout.

Target: 99.4 % of the test images, by at least 0.15 points in every seed.
Change: BatchNorm and a little dropout after every convolution; after the pool separable
convolutions, which leave room for 72 channels; the last of them is applied twice.
Result: Not measured on the test images yet. Trained on 50,000 images, two seeds have a mean of
99.48 % in the last four epochs on the 10,000 training images that were set aside.
"""

from torch import nn

from eva.blocks import gap_head
from eva.experiments.frontier.network import Repeated, conv, once, separable
from eva.recipe import SGD, Recipe, Rotation, Scale, Shift, Triangular


def build_model() -> nn.Sequential:
    """17,728 parameters."""
    return nn.Sequential(
        once(conv(1, 16), 16),
        nn.Dropout(0.05),
        once(conv(16, 24), 24),
        nn.Dropout(0.05),
        nn.MaxPool2d(kernel_size=2),
        once(separable(24, 64), 64),
        nn.Dropout(0.05),
        once(separable(64, 72), 72),
        nn.Dropout(0.05),
        Repeated(separable(72, 72), 72, times=2),
        nn.Dropout(0.05),
        gap_head(72),
    )


RECIPE = Recipe(
    epochs=19,
    batch_size=128,
    optimizer=SGD(lr=0.1, nesterov=True),
    schedule=Triangular(peak_at=0.2),
    augment=(Rotation(degrees=10), Scale(fraction=0.05), Shift(pixels=1.5)),
    weight_decay=1e-4,
    ema=0.998,
)
