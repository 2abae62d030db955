"""At most 8,000 parameters: separable convolutions after the pool, the last used twice.

Target: 99.50 % in each of the last 4 epochs, for every seed, and a mean of 99.60 %.
Change: As `under_5000` without its upright digits and looks; the room goes into width. Stronger
augmentation: shear, twice the change of size, a wider shift.
Result: Missed by a little: on one H100 the mean of 10 seeds is 99.56 % in the last epoch, and the
lowest of the last 4 epochs of any seed is 99.49 %. All 10 held 99.40 %.
"""

from torch import nn

from eva.blocks import gap_head
from eva.experiments.frontier.network import Repeated, conv, once, separable
from eva.recipe import SGD, Recipe, Rotation, Scale, Shear, Shift, Triangular


def build_model() -> nn.Sequential:
    """7,458 parameters."""
    return nn.Sequential(
        once(conv(1, 10), 10),
        once(conv(10, 14), 14),
        nn.MaxPool2d(kernel_size=2),
        once(separable(14, 42), 42),
        once(separable(42, 44), 44),
        Repeated(separable(44, 44), 44, times=2),
        gap_head(44),
    )


RECIPE = Recipe(
    batch_size=64,
    optimizer=SGD(lr=0.1, nesterov=True),
    schedule=Triangular(peak_at=0.2),
    augment=(Rotation(degrees=10), Shear(degrees=8), Scale(fraction=0.1), Shift(pixels=2)),
    weight_decay=1e-4,
    ema=0.999,
)
