"""Augmentation, by the numbers that each image draws from.

Pixels are those of an image with 28 a side. Brightness, and so ``fill``, counts from 0 (black) to
1 (white); on an image of bytes torchvision's ``fill`` counts to 255.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from eva.recipe.part import NonNegative, Part, Probability, Share

Ends = Annotated[tuple[float, float], Field(strict=False)]
Pixels = Annotated[int, Field(ge=1, le=1000)]


class Geometric(Part):
    """Base of what moves pixels. ``fill`` is the brightness of what comes in from outside."""

    later: ClassVar[tuple[str, ...]] = ("fill",)

    fill: Probability = 0.0


class Rotation(Geometric):
    """Rotate about the center by an angle drawn from ±``degrees``."""

    first = "degrees"

    kind: Literal["rotation"] = Field(default="rotation", repr=False)
    degrees: Annotated[float, Field(ge=0, le=180)]


class Shift(Geometric):
    """Move by a distance drawn from ±``pixels`` along each axis, in fractions of a pixel."""

    first = "pixels"

    kind: Literal["shift"] = Field(default="shift", repr=False)
    pixels: NonNegative


class Scale(Geometric):
    """Enlarge by a factor drawn from 1 ± ``fraction``."""

    first = "fraction"

    kind: Literal["scale"] = Field(default="scale", repr=False)
    fraction: Share


class Shear(Geometric):
    """Shear along x by an angle drawn from ±``degrees``."""

    first = "degrees"

    kind: Literal["shear"] = Field(default="shear", repr=False)
    degrees: Annotated[float, Field(ge=0, lt=90)]


class RandomCrop(Geometric):
    """Pad with ``fill`` by ``padding`` pixels, then cut the size out at a random place."""

    first = "padding"

    kind: Literal["random_crop"] = Field(default="random_crop", repr=False)
    padding: Annotated[int, Field(ge=0, le=1000)]


class CenterCrop(Geometric):
    """With a ``probability``, cut ``pixels`` a side out of the center and enlarge to full size.

    That is ``RandomApply([CenterCrop(pixels)], p)`` and ``Resize(28)`` of torchvision. At the
    border, interpolation reads the pixels outside the crop, where torchvision repeats its edge.
    """

    first = "pixels"

    kind: Literal["center_crop"] = Field(default="center_crop", repr=False)
    pixels: Pixels
    probability: Probability = 1.0


class ResizedCrop(Geometric):
    """With a ``probability``, cut a random rectangle out and resize it to full size.

    Its area is a share of the image's, drawn from ``scale``; its width over its height is drawn
    from ``ratio``, uniformly in the logarithm; then its place is drawn. That is torchvision's
    ``RandomResizedCrop``, with two differences: sides are fractions of pixels, and one that is
    longer than the image is cut to the image, where torchvision draws again. At the border,
    interpolation reads the pixels outside the crop.
    """

    first = "scale"

    kind: Literal["resized_crop"] = Field(default="resized_crop", repr=False)
    scale: Ends = (0.08, 1.0)
    ratio: Ends = (3 / 4, 4 / 3)
    probability: Probability = 1.0

    @field_validator("scale")
    @classmethod
    def _a_share(cls, ends: tuple[float, float]) -> tuple[float, float]:
        if not 0 < ends[0] <= ends[1] <= 1:
            raise ValueError("should be two rising shares of the area, such as (0.8, 1.0)")
        return ends

    @field_validator("ratio")
    @classmethod
    def _rises(cls, ends: tuple[float, float]) -> tuple[float, float]:
        return rising_ratio(ends)


class Brightness(Part):
    """Multiply by a factor drawn from 1 ± ``fraction``, clipped to [0, 1]."""

    first = "fraction"

    kind: Literal["brightness"] = Field(default="brightness", repr=False)
    fraction: Annotated[float, Field(ge=0, le=1)]


class Contrast(Part):
    """Blend with the image's own mean by a factor drawn from 1 ± ``fraction``, clipped."""

    first = "fraction"

    kind: Literal["contrast"] = Field(default="contrast", repr=False)
    fraction: Annotated[float, Field(ge=0, le=1)]


class RandomErasing(Part):
    """With a ``probability``, blacken a square whose side is drawn up to ``pixels``.

    With a ``ratio`` it is a rectangle of the same area: its height over its width is drawn from
    ``ratio``, uniformly in the logarithm, as torchvision does.
    """

    first = "probability"
    later: ClassVar[tuple[str, ...]] = ("ratio",)

    kind: Literal["random_erasing"] = Field(default="random_erasing", repr=False)
    probability: Annotated[float, Field(ge=0, le=1)] = 0.5
    pixels: Annotated[int, Field(ge=1)] = 8
    ratio: Ends = (1.0, 1.0)

    @field_validator("ratio")
    @classmethod
    def _rises(cls, ends: tuple[float, float]) -> tuple[float, float]:
        return rising_ratio(ends)


def rising_ratio(ends: tuple[float, float]) -> tuple[float, float]:
    """Return two ratios of sides as they are.

    Raises:
        ValueError: They fall, or lie outside of 1/100 to 100.
    """
    if not 0.01 <= ends[0] <= ends[1] <= 100:
        raise ValueError("should be two rising ratios of sides, such as (0.5, 2.0)")
    return ends
