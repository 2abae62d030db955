"""Experiment 5: use the room that is left.

Target: 99.4 % held over the last epochs, with fewer than 8,000 parameters.

Change: nine channels in place of eight before the pool; nothing else.

Result: on the last epoch 98.88 % of training and 99.53 % of testing, means of 5 seeds; 3 of 5 held
99.40 % over the last four epochs. The published run's 99.52 % lies above 1 of our 5, which reach
from 99.45 to 99.59 %; its 98.86 % of training compares with 98.84 to 98.92 %.

Analysis: the first convolutions see the image at its full resolution, so that is where a channel
more may help. The mean rises by about as much as five seeds can tell from chance. Not every run
holds the target: the first of the last four epochs still has the higher learning rate.

Known: the printed network (7,753 parameters), the log of one run (98.86 % on the last epoch of
training, 99.52 % of testing), batch size 128, 15 epochs, a step schedule with its
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
    """9-9-9, pool, 16-16-16, 1x1, mean: 7,753 parameters."""
    return Net((9, 9, 9, 16, 16, 16))


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
