"""The playground's pictures are those that eva.data.augment draws, and its line is that recipe."""

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from eva import recipe
from eva.data import Dataset
from eva.data.augment import augment
from eva.recipe import Interpolation, Recipe, Rotation, Scale, Shear, Shift

WIDGETS = Path(__file__).parents[2] / "docs" / "widgets"
RECIPES, IMAGES, DIFFERENT = 12, 50, 500
LARGEST_ERROR = 1e-3  # of a gray value between 0 and 255
MAKERS: dict[str, Callable[[float], Any]] = {
    "rotation": lambda reach: Rotation(degrees=reach),
    "shear": lambda reach: Shear(degrees=reach),
    "scale": lambda reach: Scale(fraction=reach),
    "shift": lambda reach: Shift(pixels=reach),
}
LARGEST = {"rotation": 45.0, "shear": 45.0, "scale": 0.5, "shift": 10.0}
NUMBERS = {
    "rotation": (IMAGES, 1),
    "shear": (IMAGES, 1),
    "scale": (IMAGES, 1),
    "shift": (IMAGES, 2),
}
Node = Callable[..., Any]


@pytest.fixture(scope="module")
def images(mini: Dataset) -> Tensor:
    """Digits of all classes, (50, 1, 28, 28) from 0 to 255."""
    return mini.test_images[::20].double()


@pytest.fixture(scope="module")
def draws() -> Iterator[list[dict[str, Any]]]:
    """What the page is asked for; both sides count in doubles, so that any difference is a mistake.

    The numbers are those that a generator, seeded by the place in the list, gives to eva.
    """
    torch.set_default_dtype(torch.float64)
    yield [asked(seed, reaches) for seed, reaches in enumerate(limits())]
    torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module")
def drawn(images: Tensor, draws: list[dict[str, Any]]) -> Tensor:
    """What eva draws, (recipes, images, pixels)."""
    found = []
    for seed, one in enumerate(draws):
        made = wanted(one)
        generator = Generator().manual_seed(seed)
        found.append(augment(images, made.augment, generator, made.interpolation).flatten(1))
    return torch.stack(found)


def limits() -> list[dict[str, Any]]:
    """Random ones, some of them 0, as the sliders can be set; the last are all 0."""
    rng = random.Random(0)
    found = [
        {
            name: round(rng.uniform(0, most), 2) if rng.random() < 0.8 else 0
            for name, most in LARGEST.items()
        }
        for _ in range(RECIPES - 1)
    ]
    return [*found, dict.fromkeys(LARGEST, 0)]


def asked(seed: int, reaches: dict[str, Any]) -> dict[str, Any]:
    generator = Generator().manual_seed(seed)
    columns = [
        torch.rand(shape, generator=generator) if reaches[name] else torch.full(shape, 0.7)
        for name, shape in NUMBERS.items()
    ]
    return {
        "limits": reaches,
        "interpolation": list(Interpolation)[seed % 2].value,
        "numbers": torch.cat(columns, dim=1).tolist(),
    }


def wanted(one: dict[str, Any]) -> Recipe:
    parts = [MAKERS[name](reach) for name, reach in one["limits"].items() if reach]
    return Recipe(augment=tuple(parts), interpolation=one["interpolation"])


def pictures(answers: list[dict[str, Any]]) -> Tensor:
    return torch.tensor([answer["pictures"] for answer in answers])


@pytest.fixture(scope="module")
def answers(node: Node, images: Tensor, draws: list[dict[str, Any]]) -> Any:
    return node("warp_vectors.mjs", {"pixels": images.flatten(1).tolist(), "draws": draws})


def test_pictures_are_those_that_the_trainer_draws(drawn: Tensor, answers: Any) -> None:
    assert (pictures(answers["answers"]) - drawn).abs().max() < LARGEST_ERROR
    assert len({tuple(picture) for picture in drawn.flatten(0, 1).tolist()}) >= DIFFERENT


PLANTED = [
    ("cos, -sin, 0", "cos, sin, 0"),  # the other way round
    ("[1, 0, -right]", "[1, 0, right]"),
    ("1 / factor, 0, 0]", "factor, 0, 0]"),
    ("sum + value * b[k][j]", "sum + b[k][j]"),
    ("(2 * random() - 1)", "random()"),  # to one side only
    ("matrices.reduce(times)", "matrices.reverse().reduce(times)"),
    ("Math.round(from[0])", "Math.floor(from[0])"),
]


@pytest.mark.parametrize(("right", "wrong"), PLANTED)
def test_a_planted_mistake_is_noticed(
    right: str,
    wrong: str,
    node: Node,
    images: Tensor,
    draws: list[dict[str, Any]],
    drawn: Tensor,
    tmp_path: Path,
) -> None:
    source = (WIDGETS / "warp.js").read_text()
    assert source.count(right) == 1
    shutil.copy(WIDGETS / "package.json", tmp_path)
    (tmp_path / "warp.js").write_text(source.replace(right, wrong))
    some = {
        "pixels": images[:2].flatten(1).tolist(),
        "draws": [one | {"numbers": one["numbers"][:2]} for one in draws],
    }
    answers = node("warp_vectors.mjs", some, tmp_path)["answers"]
    assert (pictures(answers) - drawn[:, :2]).abs().max() > 10


def test_the_line_is_a_recipe_with_these_limits(draws: list[dict[str, Any]], answers: Any) -> None:
    for one, answer in zip(draws, answers["answers"], strict=True):
        assert eval(f"Recipe({answer['line']})", vars(recipe)) == wanted(one)


def test_the_page_s_random_numbers_are_uniform(answers: Any) -> None:
    numbers = torch.tensor(answers["random"])
    assert numbers.min() >= 0 and numbers.max() < 1
    counts = torch.histc(numbers, 10, 0, 1)
    assert ((counts - 200).square() / 200).sum() < 21.7  # chi-square of 9 degrees, 99 %
    assert torch.corrcoef(torch.stack((numbers[:-1], numbers[1:])))[0, 1].abs() < 0.06
