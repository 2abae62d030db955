"""Experiment 4: less regularisation, and a learning rate that falls.

Target: 99.4 % and smoother curves, without a parameter more.

Change: all dropout removed; the random crop, brightness and contrast removed and the rest of the
augmentation milder; a learning rate that starts higher and is divided by five after every six
epochs; Nesterov momentum and weight decay.

Result: see docs/records.

Analysis: the drop of the learning rate at epoch 6 is worth more than anything before it: what
looked like underfitting was in part a learning rate too large to settle. Training accuracy is
still low, so a little more capacity may help.

Known: the printed network (7,288 parameters), the log of one run (98.75 % on the last epoch of
training, 99.41 % of testing), batch size 128, 15 epochs, a step schedule with its drop at epoch 6.
Reconstructed: optimiser, learning rate, weight decay and augmentation, so that the curves agree,
in about twenty runs on held-out training images. What made the difference is that the geometric
augmentation takes the nearest pixel, as torchvision does unless told otherwise: such digits are
harder than smooth ones, so training accuracy is lower at the same test accuracy.
"""

from eva.experiments.network import Net
from eva.recipe import SGD, Interpolation, Recipe, Rotation, Scale, Shear, Shift, Step


def build_model() -> Net:
    """8-8-8, pool, 16-16-16, 1x1, mean: 7,288 parameters."""
    return Net((8, 8, 8, 16, 16, 16))


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
