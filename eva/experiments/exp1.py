"""Experiment 1: a set-up that works.

Target: data, training and prediction run from end to end, and the network is good enough to be
worth improving. How large it is does not matter yet.

Change: an earlier, larger network is the start: six 3x3 convolutions with biases, BatchNorm after
each, dropout, one max-pool, and the mean over the last map in place of a fully connected layer.

Result: on the last epoch 98.80 % of training and 99.11 % of testing, means of 3 seeds; 0 of 3 held
99.40 % over the last four epochs.

Analysis: the pipeline works, and training accuracy below test accuracy says that the network is
held back by its dropout, not by its size. It is over the budget of 10,000 parameters, so the next
experiment takes capacity away.

Known: 13,914 parameters, best training accuracy 98.2 %, best test accuracy 99.36 %, one run.
Reconstructed: everything else. These channels, with biases, are one natural network of the later
experiments' layout that has exactly this number of parameters; the dropout was chosen so that
training stays below testing.
"""

from eva.experiments.network import Net
from eva.recipe import SGD, Recipe


def build_model() -> Net:
    """16-16-20, pool, 16-16-20, 1x1, mean, with biases: 13,914 parameters."""
    return Net((16, 16, 20, 16, 16, 20), bias=True, dropout=0.25)


RECIPE = Recipe(optimizer=SGD(lr=0.01, momentum=0.9))
