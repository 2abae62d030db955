"""Experiment 1."""

from eva.experiments.network import Net
from eva.recipe import SGD, Recipe


def build_model() -> Net:
    """16-16-20, pool, 16-16-20, 1x1, mean, with biases: 13,914 parameters."""
    return Net((16, 16, 20, 16, 16, 20), bias=True, dropout=0.25)


RECIPE = Recipe(optimizer=SGD(lr=0.01, momentum=0.9))
