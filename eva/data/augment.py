"""Augmentation of a whole batch at once, on its device, every image with draws of its own.

The geometric parts of a recipe are affine maps. They are composed, image by image, into one
matrix and the batch is resampled once, so that a rotation followed by a shift blurs no more
than either alone. Coordinates are pixels from the center of the image, x to the right and
y down; a matrix maps an output position to the input position that it shows. Angles and shifts
have torchvision's signs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from eva.data.dataset import normalize, to_float
from eva.recipe import (
    Augmentation,
    Brightness,
    CenterCrop,
    Contrast,
    Interpolation,
    RandomCrop,
    RandomErasing,
    Recipe,
    ResizedCrop,
    Rotation,
    Scale,
    Shear,
    Shift,
)
from eva.recipe.augmentation import Geometric


def prepare(
    images: Tensor,
    recipe: Recipe,
    generator: Generator,
    normalizer: Callable[[Tensor], Tensor] = normalize,
) -> Tensor:
    """Turn training images as they are kept into what a network is trained on.

    Args:
        images: (batch, channels, height, width) uint8.
        recipe: Says how they are augmented.
        generator: Source of all draws, on the device of the images.
        normalizer: Of a data set; MNIST's by default.

    Returns:
        Augmented and normalized floats, of the same shape.
    """
    return normalizer(augment(to_float(images), recipe.augment, generator, recipe.interpolation))


def augment(
    images: Tensor,
    parts: Sequence[Augmentation],
    generator: Generator,
    interpolation: Interpolation = Interpolation.BILINEAR,
) -> Tensor:
    """Apply the parts in order; neighboring geometric parts of one fill become one resampling.

    Args:
        images: (batch, channels, height, width), float in [0, 1].
        parts: From :attr:`eva.Recipe.augment`.
        generator: Source of all draws, on the device of the images.
        interpolation: How it is read between pixels.

    Returns:
        Augmented images, of the same shape; the input is not changed.
    """
    pending: list[Tensor] = []
    fill = 0.0
    for part in parts:
        if isinstance(part, Geometric):
            if part.fill != fill:
                images, pending = resample(images, pending, interpolation, fill), []
            fill = part.fill
            pending.append(_draw_affine(part, images, generator))
            continue
        images, pending = resample(images, pending, interpolation, fill), []
        if isinstance(part, Brightness):
            factor = 1 + _uniform(len(images), part.fraction, generator)
            images = brightness(images, factor)
        elif isinstance(part, Contrast):
            factor = 1 + _uniform(len(images), part.fraction, generator)
            images = contrast(images, factor)
        else:
            images = _erase(images, part, generator)
    return resample(images, pending, interpolation, fill)


def rotation(degrees: Tensor) -> Tensor:
    """Matrices (batch, 3, 3) that rotate counter-clockwise by ``degrees``, shape (batch,)."""
    radians = torch.deg2rad(degrees)
    cos, sin = torch.cos(radians), torch.sin(radians)
    return _affine(cos, -sin, sin, cos)


def shear(degrees: Tensor) -> Tensor:
    """Matrices (batch, 3, 3) that move a row ``y`` below the center by ``-tan(degrees) * y``."""
    one = torch.ones_like(degrees)
    return _affine(one, torch.tan(torch.deg2rad(degrees)), 0 * one, one)


def scale(factor: Tensor) -> Tensor:
    """Matrices (batch, 3, 3) that enlarge by ``factor``, shape (batch,)."""
    return _affine(1 / factor, 0 * factor, 0 * factor, 1 / factor)


def shift(pixels: Tensor) -> Tensor:
    """Matrices (batch, 3, 3) that move by ``pixels``, shape (batch, 2): right and down."""
    one = torch.ones_like(pixels[:, 0])
    return _affine(one, 0 * one, 0 * one, one, -pixels)


def crop(share: Tensor, offset: Tensor) -> Tensor:
    """Matrices (batch, 3, 3) that show a rectangle of the image at full size.

    Args:
        share: (batch, 2) height and width of the rectangle, as shares of the image's.
        offset: (batch, 2) pixels from the image's center down and right to the rectangle's.
    """
    height, width = share.unbind(dim=1)
    return _affine(width, 0 * width, 0 * height, height, offset.flip(1))


def resample(
    images: Tensor,
    matrices: Iterable[Tensor],
    interpolation: Interpolation = Interpolation.BILINEAR,
    fill: float = 0.0,
) -> Tensor:
    """Resample once along affine maps applied in order; outside, the brightness is ``fill``."""
    matrices = list(matrices)
    if not matrices:
        return images
    theta = matrices[0]
    for matrix in matrices[1:]:
        theta = theta @ matrix
    rows, columns = (_positions(size, images.device) for size in images.shape[-2:])
    # (batch, 2, height, width): x and y of the input position that each output position shows.
    a, b, c = theta[:, :2, :, None, None].unbind(dim=2)
    position = a * columns + (b * rows[:, None] + c)
    # grid_sample wants them last, in units of half the image.
    grid = (position / (_sizes(images).flip(0) / 2).view(2, 1, 1)).permute(0, 2, 3, 1)
    sampled = F.grid_sample(
        images - fill if fill else images,
        grid,
        mode=interpolation.value,
        padding_mode="zeros",
        align_corners=False,
    )
    return sampled + fill if fill else sampled


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Multiply each image by its factor, shape (batch,), and clip to [0, 1]."""
    return (images * factor.view(-1, 1, 1, 1)).clamp(0, 1)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Move each pixel away from its image's mean by the factor, shape (batch,), and clip."""
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return ((images - mean) * factor.view(-1, 1, 1, 1) + mean).clamp(0, 1)


def erase(images: Tensor, corner: Tensor, sides: Tensor) -> Tensor:
    """Blacken a rectangle of each image.

    Args:
        images: (batch, channels, height, width).
        corner: (batch, 2) top row and left column.
        sides: (batch, 2) height and width in pixels; 0 leaves the image as it is.
    """
    rows = torch.arange(images.shape[-2], device=images.device)
    columns = torch.arange(images.shape[-1], device=images.device)
    top, left = corner[:, :1], corner[:, 1:]
    height, width = sides[:, :1], sides[:, 1:]
    in_rows = (rows >= top) & (rows < top + height)  # (batch, height)
    in_columns = (columns >= left) & (columns < left + width)  # (batch, width)
    return images.masked_fill((in_rows[:, :, None] & in_columns[:, None, :])[:, None], 0)


def _draw_affine(part: Geometric, images: Tensor, generator: Generator) -> Tensor:
    """Matrices (batch, 3, 3) of a part, with draws for each image."""
    batch = len(images)
    match part:
        case Rotation():
            return rotation(_uniform(batch, part.degrees, generator))
        case Shear():
            return shear(_uniform(batch, part.degrees, generator))
        case Scale():
            return scale(1 + _uniform(batch, part.fraction, generator))
        case Shift():
            return shift(_uniform((batch, 2), part.pixels, generator))
        case RandomCrop():
            steps = torch.randint(
                -part.padding,
                part.padding + 1,
                (batch, 2),
                generator=generator,
                device=generator.device,
            )
            return shift(steps.float())
        case CenterCrop():
            share = part.pixels / _sizes(images).expand(batch, 2)
            return _perhaps(crop(share, torch.zeros_like(share)), part.probability, generator)
        case ResizedCrop():
            return _perhaps(_draw_crop(part, images, generator), part.probability, generator)
        case _:
            raise TypeError(f"{part!r} is not an affine augmentation")


def _draw_crop(part: ResizedCrop, images: Tensor, generator: Generator) -> Tensor:
    """Matrices (batch, 3, 3) that show a rectangle of random area, shape and place."""
    sizes = _sizes(images)
    low, high = part.scale
    draw = torch.rand((len(images), 4), generator=generator, device=generator.device)
    area = low + (high - low) * draw[:, 0]
    ratio = _between_logarithms(part.ratio, draw[:, 1])  # width over height, in pixels
    square = (sizes[0] / sizes[1]).sqrt()
    height, width = (area / ratio).sqrt() / square, (area * ratio).sqrt() * square
    share = torch.stack([height, width], dim=1).clamp(max=1)
    return crop(share, (draw[:, 2:] - 0.5) * (1 - share) * sizes)


def _perhaps(matrices: Tensor, probability: float, generator: Generator) -> Tensor:
    """The matrices of the images that are chosen with a probability; the others stay in place."""
    draw = torch.rand(len(matrices), generator=generator, device=generator.device)
    still = torch.eye(3, device=matrices.device)
    return torch.where((draw < probability)[:, None, None], matrices, still)


def _between_logarithms(ends: tuple[float, float], draw: Tensor) -> Tensor:
    """Turn uniform draws from [0, 1] into ratios between two, uniform in the logarithm."""
    low, high = math.log(ends[0]), math.log(ends[1])
    return torch.exp(low + (high - low) * draw)


def _erase(images: Tensor, part: RandomErasing, generator: Generator) -> Tensor:
    batch, _, height, width = images.shape
    draw = torch.rand((batch, 4), generator=generator, device=generator.device)
    largest = min(part.pixels, height, width)
    side = torch.where(draw[:, 0] < part.probability, 1 + (draw[:, 1] * largest).long(), 0)
    sides = side[:, None].expand(batch, 2)
    if part.ratio != (1.0, 1.0):
        uniform = torch.rand(batch, generator=generator, device=generator.device)
        root = _between_logarithms(part.ratio, uniform).sqrt()  # of height over width
        stretched = (sides * torch.stack([root, 1 / root], dim=1)).round().clamp(min=1)
        sides = torch.where(sides > 0, stretched.minimum(_sizes(images)), 0).long()
    room = _sizes(images) - sides + 1
    return erase(images, (draw[:, 2:] * room).long(), sides)


def _positions(size: int, device: torch.device) -> Tensor:
    """Pixels of an axis, from its center."""
    return torch.arange(size, device=device) - (size - 1) / 2


def _sizes(images: Tensor) -> Tensor:
    """Height and width as floats, made on the device: a list would have to be sent there."""
    return torch.stack([torch.full((), float(n), device=images.device) for n in images.shape[-2:]])


def _uniform(size: int | tuple[int, int], reach: float, generator: Generator) -> Tensor:
    """Draw from ±reach; 1-D tensors are (batch,)."""
    shape = (size,) if isinstance(size, int) else size
    draw = torch.rand(shape, generator=generator, device=generator.device)
    return (2 * draw - 1) * reach


def _affine(xx: Tensor, xy: Tensor, yx: Tensor, yy: Tensor, move: Tensor | None = None) -> Tensor:
    """Stack (batch,) entries and a (batch, 2) offset into (batch, 3, 3) matrices."""
    zero, one = torch.zeros_like(xx), torch.ones_like(xx)
    x, y = (zero, zero) if move is None else move.unbind(dim=1)
    rows = ((xx, xy, x), (yx, yy, y), (zero, zero, one))
    return torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
