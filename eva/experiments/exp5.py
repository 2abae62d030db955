"""Experiment 5: use the room that is left.

Target: 99.4 % held over the last epochs, with fewer than 8,000 parameters.

Change: nine channels in place of eight before the pool; nothing else.

Result: see docs/records.

Analysis: the first convolutions see the image at its full resolution, and 465 more parameters
there are well spent.

Known: the printed network (7,753 parameters), the log of one run (98.86 % on the last epoch of
training, 99.52 % of testing), batch size 128, 15 epochs, a step schedule with its drop at epoch 6.
Reconstructed: optimiser, learning rate, weight decay and augmentation, so that the curves agree,
in about twenty runs on held-out training images. What made the difference is that the geometric
augmentation takes the nearest pixel, as torchvision does unless told otherwise: such digits are
harder than smooth ones, so training accuracy is lower at the same test accuracy.
"""

from eva.experiments.network import Net
from eva.recipe import SGD, Interpolation, Recipe, Rotation, Scale, Shear, Shift, Step


def build_model() -> Net:
    """9-9-9, pool, 16-16-16, 1x1, mean: 7,753 parameters."""
    return Net((9, 9, 9, 16, 16, 16))


RECIPE = Recipe(
    optimizer=SGD(lr=0.1, momentum=0.9, nesterov=True),
    schedule=Step(every=6, gamma=0.2),
    augment=(
        Rotation(degrees=10),
        Shear(degrees=8),
        Scale(fraction=0.1),
        Shift(pixels=2),
    ),
    interpolation=Interpolation.NEAREST,
    weight_decay=5e-4,
)
