"""Batched augmentation against torchvision's per-image functions with the same parameters."""

import pytest
import torch
import torchvision.transforms.functional as reference
from torch import Generator, Tensor
from torchvision.transforms import InterpolationMode, RandomResizedCrop

from eva.data import augment
from eva.recipe import (
    Brightness,
    CenterCrop,
    Contrast,
    Interpolation,
    RandomCrop,
    RandomErasing,
    ResizedCrop,
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
    RandomErasing(1.0, ratio=(0.3, 3.3)),
    ResizedCrop((0.3, 1.0)),
    Rotation(10, fill=1.0),
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


@pytest.mark.parametrize("fill", [0.3, 1.0])
def test_fill_agrees_with_torchvision(images: Tensor, fill: float) -> None:
    """But for the edge: there a pixel is a mixture, and torchvision darkens the image's share."""
    ours = augment.resample(images, [augment.rotation(DEGREES)], fill=fill)
    moved = augment.resample(images, [augment.shift(PIXELS.float())], fill=fill)
    for index, image in enumerate(images):
        degrees, (right, down) = DEGREES[index].item(), PIXELS[index].tolist()
        theirs = reference.rotate(image, degrees, InterpolationMode.BILINEAR, fill=[fill])
        share = reference.rotate(torch.ones_like(image), degrees, InterpolationMode.BILINEAR)
        away = (share < 1e-6) | (share > 1 - 1e-6)
        assert away.float().mean() > 0.8
        assert (theirs - ours[index])[away].abs().max() < MAX_ERROR
        theirs = reference.affine(image, 0.0, [right, down], 1.0, [0.0, 0.0], fill=[fill])
        assert (theirs - moved[index]).abs().max() < MAX_ERROR


def test_each_fill_is_its_own_parts(images: Tensor) -> None:
    far = Shift(28, fill=1.0), RandomCrop(0, fill=0.25)
    white = augment.augment(images, (Shift(100, fill=1.0),), Generator().manual_seed(0))
    assert (white == 1).float().mean() > 0.9
    both = augment.augment(images, far, Generator().manual_seed(1))
    first = augment.augment(images, far[:1], Generator().manual_seed(1))
    assert (both - first).abs().max() < MAX_ERROR  # the second moves nothing and fills nothing


def test_center_crop_is_torchvisions_crop_and_resize(images: Tensor) -> None:
    ours = augment.augment(images, (CenterCrop(22),), Generator().manual_seed(0))
    for image, mine in zip(images, ours, strict=True):
        theirs = reference.resize(reference.center_crop(image, [22, 22]), [28, 28], antialias=False)
        inside = (slice(None), slice(1, -1), slice(1, -1))  # see the part's docstring
        assert (theirs - mine)[inside].abs().max() < MAX_ERROR


def test_a_crop_is_torchvisions_resized_crop(images: Tensor) -> None:
    top, left, height, width = 3, 6, 20, 16
    share = torch.tensor([[height / 28, width / 28]]).expand(7, 2)
    offset = torch.tensor([[top + height / 2 - 14, left + width / 2 - 14]]).expand(7, 2)
    ours = augment.resample(images, [augment.crop(share, offset)])
    for image, mine in zip(images, ours, strict=True):
        theirs = reference.resized_crop(image, top, left, height, width, [28, 28], antialias=False)
        assert (theirs - mine)[:, 1:-1, 1:-1].abs().max() < MAX_ERROR


def test_resized_crops_are_drawn_as_torchvision_draws_them() -> None:
    part = ResizedCrop((0.2, 0.6))
    count = 20_000
    matrices = augment._draw_crop(part, torch.zeros(count, 1, 28, 28), Generator().manual_seed(0))
    width, height = matrices[:, 0, 0], matrices[:, 1, 1]
    area, ratio = width * height, width / height
    assert 0.2 - 1e-6 <= area.min() < 0.201
    assert 0.599 < area.max() <= 0.6 + 1e-6
    assert area.mean() == pytest.approx(0.4, abs=0.003)
    assert ratio.log().mean() == pytest.approx(0, abs=0.005)
    assert (ratio >= 3 / 4 - 1e-5).all()
    assert (ratio <= 4 / 3 + 1e-5).all()
    for share, shift in ((width, matrices[:, 0, 2]), (height, matrices[:, 1, 2])):
        assert (shift.abs() <= (1 - share) * 14 + 1e-4).all()  # the rectangle lies in the image
        assert (shift / ((1 - share) * 14)).mean() == pytest.approx(0, abs=0.02)
    torch.manual_seed(0)
    theirs = [
        RandomResizedCrop.get_params(torch.zeros(1, 280, 280), [0.2, 0.6], [3 / 4, 4 / 3])
        for _ in range(2000)
    ]
    their_area = torch.tensor([h * w / 280**2 for _, _, h, w in theirs])
    assert their_area.mean() == pytest.approx(float(area.mean()), abs=0.015)


@pytest.mark.parametrize("part", [CenterCrop(20, probability=0.25), ResizedCrop(probability=0.25)])
def test_a_probability_leaves_the_others_as_they_are(part: object) -> None:
    images = torch.rand(1, 1, 28, 28, generator=Generator().manual_seed(0)).expand(4000, 1, 28, 28)
    changed = augment.augment(images, (part,), Generator().manual_seed(0))
    same = ((changed - images).abs().amax((1, 2, 3)) < MAX_ERROR).float().mean()
    assert same == pytest.approx(0.75, abs=0.03)


def test_erased_rectangles_have_the_area_and_the_ratios() -> None:
    images = torch.ones(4000, 1, 28, 28)
    part = RandomErasing(1.0, pixels=12, ratio=(0.3, 3.3))
    erased = augment.augment(images, (part,), Generator().manual_seed(0))
    rows = (erased == 0).any(3).sum((1, 2)).float()
    columns = (erased == 0).any(2).sum((1, 2)).float()
    assert torch.equal(rows * columns, (erased == 0).float().sum((1, 2, 3)))
    large = rows * columns > 64  # where a rounded side still tells the ratio
    ratio = (rows / columns)[large]
    assert 0.2 < ratio.min() < 0.4
    assert 2.7 < ratio.max() < 4.5
    assert ratio.log().mean() == pytest.approx(0, abs=0.1)
    assert (rows * columns).max() <= 1.15 * 144
    square = augment.augment(images, (RandomErasing(1.0),), Generator().manual_seed(0))
    assert torch.equal((square == 0).any(3).sum((1, 2)), (square == 0).any(2).sum((1, 2)))
