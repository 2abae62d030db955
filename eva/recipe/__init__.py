"""Recipes: how a model is trained, in numbers and names alone."""

from typing import TYPE_CHECKING

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
from eva.recipe.names import class_meant_by
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

if not TYPE_CHECKING:  # a type checker should say for itself that there is no such name

    def __getattr__(name: str) -> object:
        if name[:1].isupper():  # `from eva.recipe import StepLR`: the words must not be lost
            hint = class_meant_by(name, [known for known in __all__ if known[0].isupper()])
            raise ImportError(f"eva.recipe has no {name}. {hint}")
        raise AttributeError(f"module 'eva.recipe' has no attribute {name!r}")
