"""Experiment 3: everything against overfitting, at once.

Target: close the gap between training and testing.

Change: no biases, a pointwise convolution and the mean over the map in place of the fully
connected layer, dropout after every layer, twice the learning rate, and heavy augmentation:
rotation, shear, scale, shift, a random crop, brightness and contrast.

Result: on the last epoch 98.24 % of training and 99.38 % of testing, means of 3 seeds; 0 of 3 held
99.40 % over the last four epochs.

Analysis: it underfits: training accuracy is far below test accuracy and both have stopped
rising. Capacity, dropout and augmentation changed together, so the run does not tell which of
them went too far. The test accuracy jumps from epoch to epoch: a falling learning rate should
smooth that.

Known: about 7,300 parameters, best training accuracy 98.28 %, best test accuracy 99.37 %, 99.39 %
touched once, one run. Reconstructed: the network is experiment 4's with dropout (7,288
parameters); kinds and strengths of the augmentation and the learning rate are ours.
"""

from eva.experiments.network import Net
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


def build_model() -> Net:
    """8-8-8, pool, 16-16-16, 1x1, mean, dropout after every block: 7,288 parameters."""
    return Net((8, 8, 8, 16, 16, 16), dropout=0.03)


RECIPE = Recipe(
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
