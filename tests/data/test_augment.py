"""Batched augmentation against torchvision's per-image functions with the same parameters."""

import pytest
import torch
import torchvision.transforms.functional as reference
from torch import Generator, Tensor
from torchvision.transforms import InterpolationMode

from eva.data import augment
from eva.recipe import (
    Brightness,
    Contrast,
    Interpolation,
    RandomCrop,
    RandomErasing,
    Rotation,
    Scale,
    Shear,
    Shift,
)

MAX_ERROR = 1e-5  # of a pixel value in [0, 1], float32
DEGREES = torch.linspace(-30, 30, 7)
FACTORS = torch.linspace(0.7, 1.3, 7)
PIXELS = torch.tensor([[1, 2], [-3, 0], [0, 4], [2, 2], [-1, -1], [5, -5], [0, 0]])

ALL_PARTS = [
    Rotation(degrees=10),
    Shift(pixels=2),
    Scale(fraction=0.1),
    Shear(degrees=10),
    RandomCrop(padding=2),
    Brightness(fraction=0.3),
    Contrast(fraction=0.3),
    RandomErasing(probability=1.0, pixels=8),
]


@pytest.fixture
def images() -> Tensor:
    return torch.rand(7, 1, 28, 28, generator=Generator().manual_seed(0))


def affine(image: Tensor, **changes: object) -> Tensor:
    parameters = {"angle": 0.0, "translate": [0, 0], "scale": 1.0, "shear": [0.0, 0.0], **changes}
    return reference.affine(image, interpolation=InterpolationMode.BILINEAR, **parameters)


def test_rotation_agrees_with_torchvision(images: Tensor) -> None:
    ours = augment.resample(images, [augment.rotation(DEGREES)])
    for image, degrees, mine in zip(images, DEGREES.tolist(), ours, strict=True):
        theirs = reference.rotate(image, degrees, InterpolationMode.BILINEAR)
        assert (theirs - mine).abs().max() < MAX_ERROR


def test_shear_agrees_with_torchvision(images: Tensor) -> None:
    ours = augment.resample(images, [augment.shear(DEGREES)])
    for image, degrees, mine in zip(images, DEGREES.tolist(), ours, strict=True):
        assert (affine(image, shear=[degrees, 0.0]) - mine).abs().max() < MAX_ERROR


def test_scale_agrees_with_torchvision(images: Tensor) -> None:
    ours = augment.resample(images, [augment.scale(FACTORS)])
    for image, factor, mine in zip(images, FACTORS.tolist(), ours, strict=True):
        assert (affine(image, scale=factor) - mine).abs().max() < MAX_ERROR


def test_shift_agrees_with_torchvision(images: Tensor) -> None:
    ours = augment.resample(images, [augment.shift(PIXELS.float())])
    for image, pixels, mine in zip(images, PIXELS.tolist(), ours, strict=True):
        assert (affine(image, translate=pixels) - mine).abs().max() < MAX_ERROR


def test_random_crop_is_a_padded_cut(images: Tensor) -> None:
    pixels = torch.tensor([[1, -2]] * 7)
    ours = augment.resample(images, [augment.shift(pixels.float())])
    padded = reference.pad(images, [2, 2])
    theirs = reference.crop(padded, top=4, left=1, height=28, width=28)
    assert (ours - theirs).abs().max() < MAX_ERROR


def test_composed_parts_agree_with_one_torchvision_affine(images: Tensor) -> None:
    steps = [
        augment.shear(DEGREES),
        augment.scale(FACTORS),
        augment.rotation(-DEGREES),  # affine() turns clockwise, rotate() the other way
        augment.shift(PIXELS.float()),
    ]
    ours = augment.resample(images, steps)
    for index, mine in enumerate(ours):
        theirs = affine(
            images[index],
            angle=DEGREES[index].item(),
            shear=[DEGREES[index].item(), 0.0],
            scale=FACTORS[index].item(),
            translate=PIXELS[index].tolist(),
        )
        assert (theirs - mine).abs().max() < MAX_ERROR


def test_nearest_pixels_are_those_of_torchvision(images: Tensor) -> None:
    ours = augment.resample(images, [augment.rotation(DEGREES)], Interpolation.NEAREST)
    for image, degrees, mine in zip(images, DEGREES.tolist(), ours, strict=True):
        theirs = reference.rotate(image, degrees, InterpolationMode.NEAREST)
        assert (theirs != mine).float().mean() <= 2 / 784  # two pixels on the line between two
    blurred = augment.resample(images, [augment.rotation(DEGREES)])
    assert (blurred != ours).float().mean() > 0.5


def test_brightness_and_contrast_agree_with_torchvision(images: Tensor) -> None:
    bright, contrasted = augment.brightness(images, FACTORS), augment.contrast(images, FACTORS)
    for index, factor in enumerate(FACTORS.tolist()):
        theirs = reference.adjust_brightness(images[index], factor)
        assert (theirs - bright[index]).abs().max() < MAX_ERROR
        theirs = reference.adjust_contrast(images[index], factor)
        assert (theirs - contrasted[index]).abs().max() < MAX_ERROR


def test_erase_agrees_with_torchvision(images: Tensor) -> None:
    corner, sides = PIXELS.abs(), torch.stack([torch.arange(7), torch.arange(7).flip(0)], 1)
    ours = augment.erase(images, corner, sides)
    for index, mine in enumerate(ours):
        (top, left), (height, width) = corner[index].tolist(), sides[index].tolist()
        theirs = reference.erase(images[index], top, left, height, width, torch.tensor(0.0))
        assert torch.equal(theirs, mine)


def test_a_wrong_sign_is_seen(images: Tensor) -> None:
    ours = augment.resample(images, [augment.rotation(-DEGREES)])
    theirs = reference.rotate(images[0], DEGREES[0].item(), InterpolationMode.BILINEAR)
    assert (theirs - ours[0]).abs().max() > 0.1


def test_geometric_parts_are_resampled_once(
    images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    sample = torch.nn.functional.grid_sample
    monkeypatch.setattr(
        torch.nn.functional, "grid_sample", lambda *a, **k: calls.append(1) or sample(*a, **k)
    )
    augment.augment(images, ALL_PARTS[:5], Generator().manual_seed(0))
    assert len(calls) == 1


@pytest.mark.parametrize("part", ALL_PARTS, ids=lambda part: part.kind)
def test_every_image_has_draws_of_its_own(part: object) -> None:
    one = torch.rand(1, 1, 28, 28, generator=Generator().manual_seed(0))
    batch = augment.augment(one.expand(8, -1, -1, -1), [part], Generator().manual_seed(1))
    assert len({tuple(image.flatten().tolist()) for image in batch}) > 4


@pytest.mark.parametrize("part", ALL_PARTS, ids=lambda part: part.kind)
def test_draws_come_from_the_generator_alone(part: object, images: Tensor) -> None:
    first = augment.augment(images, [part], Generator().manual_seed(3))
    torch.rand(5)
    assert torch.equal(first, augment.augment(images, [part], Generator().manual_seed(3)))


def test_a_random_crop_without_padding_changes_nothing(images: Tensor) -> None:
    ours = augment.augment(images, [RandomCrop(padding=0)], Generator().manual_seed(0))
    assert (ours - images).abs().max() < MAX_ERROR


def test_draws_stay_in_their_range() -> None:
    generator = Generator().manual_seed(0)
    dot = torch.zeros(500, 1, 29, 29)
    dot[:, :, 14, 14] = 1
    moved = augment.augment(dot, [Shift(pixels=3)], generator)
    position = moved.flatten(1).argmax(1)
    assert ((position // 29 - 14).abs() <= 3).all()
    assert ((position % 29 - 14).abs() <= 3).all()
    assert len(position.unique()) > 30
