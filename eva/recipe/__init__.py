"""Recipes: how a model is trained, in numbers and names alone."""

from eva.recipe.augmentation import (
    Brightness,
    CenterCrop,
    Contrast,
    RandomCrop,
    RandomErasing,
    ResizedCrop,
    Rotation,
    Scale,
    Shear,
    Shift,
)
from eva.recipe.optimizers import SGD, Adam, AdamW, RMSprop
from eva.recipe.recipe import Augmentation, Init, Interpolation, Recipe
from eva.recipe.schedules import (
    Constant,
    Cosine,
    MultiStep,
    OneCycle,
    Plateau,
    Step,
    Triangular,
)

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Augmentation",
    "Brightness",
    "CenterCrop",
    "Constant",
    "Contrast",
    "Cosine",
    "Init",
    "Interpolation",
    "MultiStep",
    "OneCycle",
    "Plateau",
    "RMSprop",
    "RandomCrop",
    "RandomErasing",
    "Recipe",
    "ResizedCrop",
    "Rotation",
    "Scale",
    "Shear",
    "Shift",
    "Step",
    "Triangular",
]
