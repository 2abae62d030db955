"""A recipe says how a model is trained, in numbers and names alone: no code, JSON both ways.

Everything is frozen and checked when it is made: an unknown key, a value of the wrong type or
out of range is a :class:`~eva.errors.RecipeError` that names the key.

Example:
    >>> recipe = Recipe(schedule=Step(every=6), augment=(Rotation(degrees=7), Shift(pixels=2)))
    >>> Recipe.from_json(recipe.to_json()) == recipe
    True
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, ValidationError

from eva.errors import RecipeError
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
from eva.recipe.part import NonNegative, Part, Share, recipe_error
from eva.recipe.schedules import Constant, Cosine, OneCycle, Step, Triangular


class Init(StrEnum):
    """How weights of two and more dimensions are drawn; ``default`` is PyTorch's own."""

    DEFAULT = "default"
    KAIMING_NORMAL = "kaiming_normal"
    KAIMING_UNIFORM = "kaiming_uniform"
    XAVIER_UNIFORM = "xavier_uniform"
    ORTHOGONAL = "orthogonal"


class Interpolation(StrEnum):
    """How geometric augmentation reads between pixels; torchvision's default is ``nearest``."""

    BILINEAR = "bilinear"
    NEAREST = "nearest"


Optimizer = Annotated[SGD | Adam | AdamW, Field(discriminator="kind")]
Schedule = Annotated[Constant | Step | Cosine | Triangular | OneCycle, Field(discriminator="kind")]
Augmentation = Annotated[
    Rotation | Shift | Scale | Shear | RandomCrop | Brightness | Contrast | RandomErasing,
    Field(discriminator="kind"),
]


class Recipe(Part):
    """How a model is trained.

    Attributes:
        epochs: Passes over the training images.
        batch_size: Images a step; the last batch of an epoch may be smaller.
        optimizer: :class:`SGD`, :class:`Adam` or :class:`AdamW`.
        schedule: Learning rate over the run, as a share of the optimizer's ``lr``.
        augment: Applied in this order, every image with draws of its own.
        interpolation: Of its geometric parts: "bilinear" or "nearest".
        label_smoothing: Share of the target spread over all classes.
        weight_decay: L2 penalty on every parameter (decoupled with AdamW).
        ema: Decay a step of the exponential moving average of weights and buffers that is
            evaluated in place of the last weights; None for no averaging.
        init: How the weights are drawn before training.
    """

    epochs: Annotated[int, Field(ge=1)] = 15
    batch_size: Annotated[int, Field(ge=1)] = 128
    optimizer: Optimizer = SGD()
    schedule: Schedule = Constant()
    augment: Annotated[tuple[Augmentation, ...], Field(strict=False)] = ()
    interpolation: Annotated[Interpolation, Field(strict=False)] = Interpolation.BILINEAR
    label_smoothing: Share = 0.0
    weight_decay: NonNegative = 0.0
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    init: Annotated[Init, Field(strict=False)] = Init.DEFAULT

    def lr(self, step: int, steps_per_epoch: int) -> float:
        """Learning rate at a step, counted from 0 over the whole run."""
        return self.optimizer.lr * self.schedule.factor(step, steps_per_epoch, self.epochs)

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts, lists, numbers and strings."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, value: object) -> Recipe:
        """Read what :meth:`to_json` wrote.

        Raises:
            RecipeError: A key is unknown or a value ill-typed; the message names the key.
        """
        if not isinstance(value, dict):
            raise RecipeError(f"a recipe is a JSON object, got {type(value).__name__}.")
        try:
            return cls.model_validate_json(json.dumps(value))
        except ValidationError as error:
            raise recipe_error(cls, error) from None
