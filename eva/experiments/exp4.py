"""Experiment 4: less regularization, and a learning rate that falls.

Target: 99.4 % and smoother curves, without a parameter more.

Change: all dropout removed; the random crop, brightness and contrast removed from the
augmentation; a learning rate that starts higher and is divided by five after every six epochs;
Nesterov momentum and weight decay.

Result: on the last epoch 98.83 % of training and 99.48 % of testing, means of 5 seeds; 4 of 5 held
99.40 % over the last four epochs. The published run's 99.41 % lies above 0 of our 5, which reach
from 99.46 to 99.51 %; its 98.75 % of training compares with 98.79 to 98.86 %.

Analysis: test accuracy jumps in epoch 7, after the learning rate has dropped: what looked like
underfitting was in part a learning rate too large to settle. Training accuracy is still low, so a
little more capacity may help.

Known: the printed network (7,288 parameters), the log of one run (98.75 % on the last epoch of
training, 99.41 % of testing), batch size 128, 15 epochs, a step schedule with its
drop after epoch 6.
Reconstructed: optimizer, learning rate, weight decay and augmentation, so that the curves agree,
in about twenty runs on held-out training images. What made the difference is that the geometric
augmentation takes the nearest pixel, as torchvision does unless told otherwise: such digits are
harder than smooth ones, so training accuracy is lower at the same test accuracy. Once, after full
runs, the augmentation was strengthened, because training accuracy ended 0.34 above the published
one; the test figures of those runs had been seen by then.
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
        Rotation(degrees=12),
        Shear(degrees=12),
        Scale(fraction=0.15),
        Shift(pixels=2.8),
    ),
    interpolation=Interpolation.NEAREST,
    weight_decay=5e-4,
)
