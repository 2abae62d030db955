"""Recipes: how a model is trained, in numbers and names alone."""

from eva.recipe.augmentation import (
    Brightness,
    Contrast,
    RandomCrop,
    RandomErasing,
    Rotation,
    Scale,
    Shear,
    Shift,
)
from eva.recipe.optimizers import SGD, Adam, AdamW
from eva.recipe.recipe import Augmentation, Init, Interpolation, Recipe
from eva.recipe.schedules import Constant, Cosine, OneCycle, Step, Triangular

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Augmentation",
    "Brightness",
    "Constant",
    "Contrast",
    "Cosine",
    "Init",
    "Interpolation",
    "OneCycle",
    "RandomCrop",
    "RandomErasing",
    "Recipe",
    "Rotation",
    "Scale",
    "Shear",
    "Shift",
    "Step",
    "Triangular",
]
