"""The explorer's arithmetic is that of eva.rf: on every layer of hundreds of random networks."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor, nn

import eva
from eva.rf import ReceptiveField

WIDGETS = Path(__file__).parents[2] / "docs" / "widgets"
NETWORKS, COMPARED = 530, 500
Node = Callable[..., Any]
LETTERS = {"conv": "c", "max": "m", "avg": "a", "transposed": "t", "nearest": "n", "bilinear": "b"}
LARGEST = 96  # units a side


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer; ``body`` is that of a residual, whose shortcut has stride ``s``."""

    kind: str
    k: int = 1
    s: int = 1
    p: int = 0
    d: int = 1
    o: int = 0
    body: tuple[Layer, ...] = field(default=())

    def text(self) -> str:
        """As docs/widgets/network.js reads it, every setting written out."""
        if self.kind == "residual":
            return f"r{self.s}({text(self.body)})"
        names = {"max": "sp", "avg": "sp", "nearest": "", "bilinear": ""}.get(self.kind, "spd")
        names += "o" * (self.kind == "transposed")
        return f"{LETTERS[self.kind]}{self.k}" + "".join(f"{n}{getattr(self, n)}" for n in names)

    def module(self) -> nn.Module:
        """With one channel in and out."""
        match self.kind:
            case "conv":
                return nn.Conv2d(1, 1, self.k, self.s, self.p, self.d)
            case "max":
                return nn.MaxPool2d(self.k, self.s, self.p)
            case "avg":
                return nn.AvgPool2d(self.k, self.s, self.p)
            case "transposed":
                return nn.ConvTranspose2d(
                    1, 1, self.k, self.s, self.p, output_padding=self.o, dilation=self.d
                )
            case "residual":
                return Residual(self)
            case _:
                return nn.Upsample(scale_factor=self.k, mode=self.kind)

    def count(self, size: int) -> int:
        """Units a side of the output; 0 where there is none."""
        window = self.d * (self.k - 1) + 1
        match self.kind:
            case "transposed":
                return (size - 1) * self.s - 2 * self.p + window + self.o
            case "nearest" | "bilinear":
                return size * self.k
            case "residual":
                return (size - 1) // self.s + 1
            case _:
                room = size + 2 * self.p - window
                return 0 if room < 0 else room // self.s + 1


class Residual(nn.Module):
    """The body plus a 1x1 convolution with the shortcut's stride."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.body = nn.Sequential(*(part.module() for part in layer.body))
        self.shortcut = nn.Conv2d(1, 1, 1, layer.s) if layer.s > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        summed: Tensor = self.body(x) + self.shortcut(x)
        return summed


def text(layers: tuple[Layer, ...]) -> str:
    """The text form of a network."""
    return ".".join(layer.text() for layer in layers)


def random_layer(rng: random.Random) -> Layer:
    """Any layer but a residual."""
    kind = rng.choice(["conv", "conv", "conv", "max", "avg", "transposed", "nearest", "bilinear"])
    k = rng.randint(1, 5)
    match kind:
        case "conv":
            d = rng.choice([1, 1, 2, 3])
            p = rng.randint(0, min(3, d * (k - 1)))  # no unit sees padding alone
            return Layer(kind=kind, k=k, s=rng.choice([1, 1, 2, 3]), p=p, d=d)
        case "max" | "avg":
            return Layer(kind=kind, k=k, s=rng.randint(1, 3), p=rng.randint(0, k // 2))
        case "transposed":
            s, d = rng.randint(1, min(k + 1, 3)), rng.choice([1, 1, 1, 2])  # sometimes with holes
            o = rng.randint(0, max(s, d) - 1)
            return Layer(kind=kind, k=k, s=s, p=rng.randint(0, 2), d=d, o=o)
        case _:
            return Layer(kind=kind, k=rng.randint(2, 4))


def random_residual(rng: random.Random, size: int) -> Layer:
    """A branch that ends as large as its shortcut: found by trying."""
    while True:
        stride = rng.choice([1, 1, 2])
        body = tuple(random_layer(rng) for _ in range(rng.randint(1, 3)))
        count = size
        for layer in body:
            count = layer.count(count) if 0 < count <= LARGEST else 0
        if count == (size - 1) // stride + 1:
            return Layer(kind="residual", s=stride, body=body)


def random_network(rng: random.Random) -> tuple[tuple[Layer, ...], int]:
    """One to seven layers, and an image that they fit."""
    size = rng.randint(6, 40)
    layers: list[Layer] = []
    count = size
    for _ in range(rng.randint(1, 7)):
        layer = random_residual(rng, count) if rng.random() < 0.2 else random_layer(rng)
        after = layer.count(count)
        if 0 < after <= LARGEST:
            layers.append(layer)
            count = after
    return tuple(layers), size


def vector(field: ReceptiveField) -> dict[str, Any]:
    """Numbers of the rows, in the explorer's words."""
    rows = field.axes[0]
    known = rows.to_json()
    names = ("size", "min_size", "jump", "start", "padding", "density", "status", "misaligned")
    return {"count": field.output_shape[2], "hulls": known["hulls"]} | {
        name: known[name] for name in names
    }


def paths(
    layers: tuple[Layer, ...], prefix: str = "", names: str = ""
) -> Iterator[tuple[str, str]]:
    """The explorer's path of every layer and the name of its module, in the explorer's order."""
    for index, layer in enumerate(layers):
        path, name = f"{prefix}{index + 1}", f"{names}{index}"
        yield from paths(layer.body, f"{path}.", f"{name}.body.")
        yield path, name


def vectors(layers: tuple[Layer, ...], size: int) -> list[dict[str, Any]]:
    model = nn.Sequential(*(layer.module() for layer in layers))
    calls = {call.name: call for call in eva.trace(model, (1, size, size)).calls}
    found = []
    for path, name in paths(layers):
        field = calls[name].output_rf
        assert field is not None
        assert field.axes[0].hulls == field.axes[1].hulls or field.axes[0].dims != (2,)
        found.append({"path": path} | vector(field))
    return found


@pytest.fixture(scope="module")
def networks() -> list[tuple[tuple[Layer, ...], int]]:
    rng = random.Random(20190101)
    return [random_network(rng) for _ in range(NETWORKS)]


def test_numbers_of_random_networks_are_those_of_eva(
    node: Node, networks: list[tuple[tuple[Layer, ...], int]]
) -> None:
    answers = node("rf_vectors.mjs", [{"net": text(n), "size": size} for n, size in networks])
    compared = 0
    for (layers, size), answer in zip(networks, answers, strict=True):
        assert answer["again"], text(layers)
        expected = vectors(layers, size)
        if "refused" in answer:
            # Only where a branch has units that see nothing, which the page says it can't join.
            assert "see nothing" in answer["refused"], text(layers)
            assert any(None in stage["hulls"] for stage in expected)
            continue
        assert answer["stages"] == expected, f"{text(layers)} on {size} pixels"
        compared += 1
    assert compared >= COMPARED
    assert {layer.kind for n, _ in networks for layer in n} >= {
        "residual",
        "bilinear",
        "transposed",
    }


PLANTED = [
    ("rf.js", "tap * d - p)", "tap * d)"),  # padding forgotten
    ("rf.js", "? [low] : [low, low + 1]", "? [low, low + 1] : [low, low + 1]"),  # weight of zero
    ("rf.js", "mask | shortcut.masks[unit]", "mask"),  # shortcut forgotten
    ("network.js", 's: ["max", "avg", "transposed"].includes(kind) ? k : 1', "s: 1"),
]


@pytest.mark.parametrize(("file", "right", "wrong"), PLANTED)
def test_a_planted_mistake_is_noticed(
    file: str, right: str, wrong: str, node: Node, tmp_path: Path
) -> None:
    widgets = tmp_path / "widgets"
    shutil.copytree(WIDGETS, widgets)
    source = (widgets / file).read_text()
    assert source.count(right) == 1
    (widgets / file).write_text(source.replace(right, wrong))
    (tmp_path / "package.json").write_text('{"type": "module"}')
    layers = (
        Layer(kind="conv", k=3, p=1),
        Layer(kind="max", k=2, s=2),
        Layer(kind="residual", body=(Layer(kind="conv", k=2, p=1, d=2),)),
        Layer(kind="bilinear", k=3),
    )
    answers = node("rf_vectors.mjs", [{"net": "c3p1.m2.r1(c2p1d2).b3", "size": 12}], widgets)
    assert answers[0].get("stages") != vectors(layers, 12)


def test_a_network_that_does_not_fit_is_refused_with_a_reason(node: Node) -> None:
    nets = ["c3.c1", "c3.c3", "r1(c3)", "t1s2.r1(c1)", "n4.n4.n4.n4.n4"]
    answers = node("rf_vectors.mjs", [{"net": net, "size": 4} for net in nets])
    fits, *said = [answer.get("refused") for answer in answers]
    assert fits is None
    assert said[0].startswith("Layer 2 has no room: its window does not fit into a map of 2 by 2")
    assert said[1].startswith("Residual 1: the branch ends with 2 by 2 units, the shortcut with 4.")
    assert "some units before the sum see nothing" in said[2]
    assert "up to 1024" in said[3]
