"""The playground's pictures are those of eva.augment, and its line is that recipe."""

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch

from eva import augment, recipe
from eva.data import Dataset
from eva.recipe import Interpolation, Recipe, Rotation, Scale, Shear, Shift

WARPS = 500
LARGEST_ERROR = 0.01  # of a grey value between 0 and 255
LIMITS = [
    {"rotation": 12, "shear": 12, "scale": 0.15, "shift": 2.8, "interpolation": "bilinear"},
    {"rotation": 0, "shear": 0, "scale": 0.5, "shift": 0, "interpolation": "nearest"},
    {"rotation": 0, "shear": 0, "scale": 0, "shift": 0, "interpolation": "bilinear"},
]


@pytest.fixture(scope="module")
def warps() -> list[dict[str, Any]]:
    draw = random.Random(0)
    return [
        {
            "image": index % 10,
            "rotation": draw.uniform(-45, 45),
            "shear": draw.uniform(-45, 45),
            "scale": draw.uniform(0.5, 1.5),
            "shift": [draw.uniform(-10, 10), draw.uniform(-10, 10)],
            "interpolation": draw.choice(["bilinear", "nearest"]),
        }
        for index in range(WARPS)
    ]


@pytest.fixture(scope="module")
def found(node: Callable[..., Any], mini: Dataset, warps: list[dict[str, Any]]) -> Any:
    pixels = mini.test_images[::40].flatten(1).tolist()
    return node("warp_vectors.mjs", {"pixels": pixels, "warps": warps, "limits": LIMITS})


def expected(images: torch.Tensor, warp: dict[str, Any]) -> torch.Tensor:
    matrices = [
        augment.rotation(torch.tensor([warp["rotation"]])),
        augment.shear(torch.tensor([warp["shear"]])),
        augment.scale(torch.tensor([warp["scale"]])),
        augment.shift(torch.tensor([warp["shift"]])),
    ]
    image = images[warp["image"] : warp["image"] + 1].float()
    return augment.resample(image, matrices, Interpolation(warp["interpolation"])).flatten()


def test_pictures_are_those_of_eva(found: Any, mini: Dataset, warps: list[dict[str, Any]]) -> None:
    images = mini.test_images[::40]
    different = 0
    for warp, picture in zip(warps, found["pictures"], strict=True):
        error = (torch.tensor(picture) - expected(images, warp)).abs()
        if warp["interpolation"] == "bilinear":
            assert error.max() < LARGEST_ERROR
        else:  # a place on the line between two pixels may fall to either
            different += int((error > LARGEST_ERROR).sum())
    assert different <= 20
    assert torch.tensor(found["pictures"]).std() > 10


def test_the_line_is_a_recipe_with_these_limits(found: Any) -> None:
    for limits, line in zip(LIMITS, found["lines"], strict=True):
        made = eval(f"Recipe({line})", vars(recipe))
        parts = (
            Rotation(degrees=limits["rotation"]) if limits["rotation"] else None,
            Shear(degrees=limits["shear"]) if limits["shear"] else None,
            Scale(fraction=limits["scale"]) if limits["scale"] else None,
            Shift(pixels=limits["shift"]) if limits["shift"] else None,
        )
        wanted = Recipe(
            augment=tuple(part for part in parts if part),
            interpolation=Interpolation(limits["interpolation"]),
        )
        assert made == wanted


def test_draws_fill_their_limits_and_no_more(found: Any) -> None:
    _, scales, nothing = (torch.tensor(draws) for draws in found["draws"])
    factors = 1 / scales[:, 0, 0]
    assert 0.5 <= factors.min() < 0.6 and 1.4 < factors.max() <= 1.5
    assert (nothing - torch.eye(3)).abs().max() == 0
