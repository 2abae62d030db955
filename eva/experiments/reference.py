"""The course's own answer: experiment 5's network with a better recipe.

Target: 99.4 % in each of the last four epochs, in nine of ten runs, with fewer than 8,000
parameters.

Change: the network stays. The learning rate rises to 0.1 over the first fifth of the run and then
falls in a straight line to zero; Nesterov momentum; weight decay; and the weights that are tested
are a moving average of the last few hundred steps.

Result: on the last epoch 99.37 % of training and 99.52 % of testing, means of 10 seeds; 10 of 10
held 99.40 % over the last four epochs.

Analysis: at the end it is no better than experiment 5. What it gains is that every run holds the
target: the rate is almost nothing in the last four epochs, and averaging removes what is left of
the noise, so they differ little. Digits are rotated, scaled and shifted less than in experiment 5,
and not sheared.

Tuned on 5,000 training images that were set aside, one run for each of about twenty candidates
(peak rate, weight decay, averaging, strength of the augmentation, channels, separable
convolutions); the test images were looked at only for the records. Later, twelve changes with four
seeds or more each gained nothing on 10,000 held-out ones (docs/records/reference_tuning.json).
"""

from eva.experiments.network import Net
from eva.recipe import SGD, Recipe, Rotation, Scale, Shift, Triangular


def build_model() -> Net:
    """Experiment 5's network: 7,753 parameters."""
    return Net((9, 9, 9, 16, 16, 16))


RECIPE = Recipe(
    optimizer=SGD(lr=0.1, momentum=0.9, nesterov=True),
    schedule=Triangular(peak_at=0.2),
    augment=(Rotation(degrees=10), Scale(fraction=0.08), Shift(pixels=2)),
    weight_decay=5e-4,
    ema=0.995,
)
