"""Augmentation, by the numbers that each image draws from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from eva.recipe.part import NonNegative, Part, Share


class Rotation(Part):
    """Rotate about the center by an angle drawn from ±``degrees``."""

    kind: Literal["rotation"] = Field(default="rotation", repr=False)
    degrees: Annotated[float, Field(ge=0, le=180)]


class Shift(Part):
    """Move by a distance drawn from ±``pixels`` along each axis, in fractions of a pixel."""

    kind: Literal["shift"] = Field(default="shift", repr=False)
    pixels: NonNegative


class Scale(Part):
    """Enlarge by a factor drawn from 1 ± ``fraction``."""

    kind: Literal["scale"] = Field(default="scale", repr=False)
    fraction: Share


class Shear(Part):
    """Shear along x by an angle drawn from ±``degrees``."""

    kind: Literal["shear"] = Field(default="shear", repr=False)
    degrees: Annotated[float, Field(ge=0, lt=90)]


class RandomCrop(Part):
    """Pad with black by ``padding`` pixels, then cut the original size out at a random place."""

    kind: Literal["random_crop"] = Field(default="random_crop", repr=False)
    padding: Annotated[int, Field(ge=0)]


class Brightness(Part):
    """Multiply by a factor drawn from 1 ± ``fraction``, clipped to [0, 1]."""

    kind: Literal["brightness"] = Field(default="brightness", repr=False)
    fraction: Annotated[float, Field(ge=0, le=1)]


class Contrast(Part):
    """Blend with the image's own mean by a factor drawn from 1 ± ``fraction``, clipped."""

    kind: Literal["contrast"] = Field(default="contrast", repr=False)
    fraction: Annotated[float, Field(ge=0, le=1)]


class RandomErasing(Part):
    """With a ``probability``, blacken a square whose side is drawn up to ``pixels``."""

    kind: Literal["random_erasing"] = Field(default="random_erasing", repr=False)
    probability: Annotated[float, Field(ge=0, le=1)] = 0.5
    pixels: Annotated[int, Field(ge=1)] = 8
