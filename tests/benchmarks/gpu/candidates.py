# ruff: noqa: E501
"""What is searched: networks in a shorthand, and changes of a recipe.

`c8` is a 3x3 convolution to 8 channels, `d16` a depthwise-separable one, `d16x2` one that is used
twice with a BatchNorm for each use, `m` a max-pool, `a` an average pool, `q5` dropout of 5 %, `u`
the digit set upright, `v` five looks in testing.  At the end a 1x1 convolution to 10 and the mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from eva.blocks import gap_head
from eva.experiments.frontier.network import Repeated, Upright, Views, conv, once, separable
from eva.recipe import (
    SGD,
    AdamW,
    Cosine,
    OneCycle,
    RandomErasing,
    Recipe,
    Rotation,
    Scale,
    Shear,
    Shift,
    Triangular,
)

ACTIVATIONS = {"relu": nn.ReLU, "silu": nn.SiLU, "gelu": nn.GELU, "hardswish": nn.Hardswish}


def build(spec: str, act: str = "silu") -> nn.Module:
    """Build a network from its shorthand."""
    kind = ACTIVATIONS[act]
    layers: list[nn.Module] = []
    channels, upright, views = 1, False, False
    for word in spec.split():
        letter, rest = word[0], word[1:]
        if letter == "u":
            upright = True
        elif letter == "v":
            views = True
        elif letter == "m":
            layers.append(nn.MaxPool2d(kernel_size=2))
        elif letter == "a":
            layers.append(nn.AvgPool2d(kernel_size=2))
        elif letter == "q":
            layers.append(nn.Dropout(int(rest) / 100))
        else:
            width, _, times = rest.partition("x")
            to = int(width)
            body = conv(channels, to) if letter == "c" else separable(channels, to)
            layers.append(
                Repeated(body, to, times=int(times or 1), act=kind)
                if times
                else once(body, to, kind)
            )
            channels = to
    model: nn.Module = nn.Sequential(*layers, gap_head(channels))
    if views:
        model = Views(model)
    return nn.Sequential(Upright(), model) if upright else model


def parameters(spec: str) -> int:
    """How many numbers a network has."""
    return sum(p.numel() for p in build(spec).parameters())


def recipe(changes: Mapping[str, Any]) -> Recipe:
    """The frontier's recipe with changes, by short names."""
    c = {
        "lr": 0.1, "momentum": 0.9, "peak": 0.2, "rot": 10.0, "scale": 0.05, "shift": 1.5,
        "shear": 0.0, "erase": 0, "wd": 1e-4, "ema": 0.999, "bs": 64, "epochs": 15, "ls": 0.0,
        "init": "default", "opt": "sgd", "sched": "tri", "interp": "bilinear",
    } | dict(changes)  # fmt: skip
    augment: list[Any] = []
    if c["rot"]:
        augment.append(Rotation(degrees=float(c["rot"])))
    if c["shear"]:
        augment.append(Shear(degrees=float(c["shear"])))
    if c["scale"]:
        augment.append(Scale(fraction=float(c["scale"])))
    if c["shift"]:
        augment.append(Shift(pixels=float(c["shift"])))
    if c["erase"]:
        augment.append(RandomErasing(probability=0.3, pixels=int(c["erase"])))
    schedules: dict[str, Any] = {"tri": Triangular(peak_at=c["peak"])}
    if c["sched"] == "cos":
        schedules["cos"] = Cosine()
    if c["sched"] == "one":
        schedules["one"] = OneCycle()
    optimizer: Any = SGD(lr=c["lr"], momentum=c["momentum"], nesterov=True)
    if c["opt"] == "adamw":
        optimizer = AdamW(lr=c["lr"])
    return Recipe(
        epochs=c["epochs"],
        batch_size=c["bs"],
        optimizer=optimizer,
        schedule=schedules[c["sched"]],
        augment=tuple(augment),
        interpolation=c["interp"],
        label_smoothing=c["ls"],
        weight_decay=c["wd"],
        ema=c["ema"],
        init=c["init"],
    )


@dataclass(frozen=True)
class Candidate:
    """A network, and how it is trained."""

    spec: str
    act: str = "silu"
    changes: tuple[tuple[str, Any], ...] = ()

    @property
    def name(self) -> str:
        """Unique."""
        return f"{self.spec} | {self.act} | " + ", ".join(f"{k} {v}" for k, v in self.changes)


def with_(c: Candidate, **changes: Any) -> Candidate:
    """The same with more changes."""
    return Candidate(c.spec, c.act, tuple(sorted((dict(c.changes) | changes).items())))


@dataclass(frozen=True)
class Problem:
    """What is wanted, and where to begin: networks by the base's recipe, changes by its network."""

    name: str
    limit: int  # parameters, at most
    base: Candidate
    networks: tuple[tuple[str, str], ...]
    changes: tuple[dict[str, Any], ...]
    rungs: tuple[tuple[int, int], ...] = (
        (12, 2),
        (5, 4),
    )  # how many go on, with how many more seeds
    submission: str = ""

    def start(self) -> list[Candidate]:
        """All that get one seed."""
        found = [self.base]
        found += [Candidate(spec, act, self.base.changes) for spec, act in self.networks]
        found += [with_(self.base, **change) for change in self.changes]
        return [c for c in dict.fromkeys(found) if parameters(c.spec) <= self.limit]


def both(*specs: str) -> tuple[tuple[str, str], ...]:
    """With SiLU."""
    return tuple((s, "silu") for s in specs)


def changed(**changes: Any) -> tuple[tuple[str, Any], ...]:
    """Sorted, as :func:`with_` has them."""
    return tuple(sorted(changes.items()))


PROBLEMS = (
    Problem(
        "reference", 7_999,
        Candidate("c10 c14 m d42 d44 d44x2"),
        (*both("c10 c14 m d44 d46 d46x2", "c12 c16 m d36 d40 d40x2", "c10 c16 m d56 d56x3", "c10 c18 m d36 d42 d42x2", "c12 d24 m d44 d46 d46x2", "c8 c8 c14 m d40 d42 d42x2", "c10 c14 m d32 d36 d36 d36x2", "c12 c14 m d42 d44 d44x2"), ("c10 c14 m d42 d44 d44x2", "hardswish")),
        (
            {"shear": 8.0}, {"shear": 8.0, "scale": 0.1, "shift": 2.0}, {"rot": 12.0, "scale": 0.1, "shift": 2.0},
            {"shift": 1.0}, {"rot": 7.0}, {"lr": 0.15}, {"lr": 0.2}, {"wd": 2e-4}, {"wd": 5e-5},
            {"ema": 0.9995}, {"peak": 0.1}, {"ls": 0.02}, {"momentum": 0.95, "lr": 0.05}, {"init": "kaiming_normal"},
        ),
        rungs=((6, 0), (8, 2), (4, 5)),
        submission="eva.experiments.reference",
    ),
    Problem(
        "under_5000", 5_000,
        Candidate("v c8 c12 m d32 d34 d34x2"),
        both("v c10 c14 m d28 d30 d30x2", "u v c8 c12 m d32 d34 d34x2", "v c10 c12 m d40 d40x3"),
        ({"shear": 8.0}, {"lr": 0.2}),
        rungs=((0, 0), (2, 2)),
        submission="eva.experiments.frontier.under_5000",
    ),
    Problem(
        "under_3500", 3_500,
        Candidate("v c8 c10 m d24 d26 d26x2"),
        both("v c8 c12 m d22 d24 d24x2", "u v c8 c10 m d24 d26 d26x2", "v c10 d16 m d26 d28 d28x2"),
        ({"shear": 8.0}, {"lr": 0.2}),
        rungs=((0, 0), (2, 2)),
        submission="eva.experiments.frontier.under_3500",
    ),
    Problem(
        "under_2000", 2_000,
        Candidate("u v c6 c8 m d16 d18 d18x2", "silu", changed(wd=5e-5, lr=0.2, rot=7.0, shift=1.0)),
        both("u v c8 d14 m d16 d18 d18x2", "u v c6 d12 m d18 d20 d20x2"),
        ({"rot": 5.0, "shift": 0.5}, {"lr": 0.1}, {"shear": 5.0}),
        rungs=((2, 0), (3, 2)),
        submission="eva.experiments.frontier.under_2000",
    ),
    Problem(
        "under_1000", 1_000,
        Candidate("u v c6 d10 m d14 d14x2", "relu", changed(wd=5e-5, lr=0.2, rot=5.0, shift=0.5)),
        (
            ("u v c6 d10 m d14 d14x2", "silu"), ("u v c6 d10 a d14 d14x2", "silu"),
            ("u v c5 d10 m d14 d14x3", "silu"), ("u v c8 d16 m d16x3", "silu"), ("u v c7 d11 m d13 d13x2", "silu"),
        ),
        ({"lr": 0.3}, {"rot": 7.0, "shift": 0.7}, {"ema": 0.9995}),
        rungs=((3, 0), (4, 2)),
        submission="eva.experiments.frontier.under_1000",
    ),
    Problem(
        "under_697", 697,
        Candidate("u v c4 d8 m d11 d11x2", "silu", changed(wd=5e-5, lr=0.2, rot=5.0, shift=0.5)),
        (
            ("u v c4 d8 m d11 d11x2", "relu"), ("u v c5 d12 m d12x3", "silu"), ("u v c6 d12 m d12x4", "silu"),
            ("u v c5 d8 m d10 d10x2", "silu"), ("u v c4 d8 a d11 d11x2", "silu"), ("u v c4 d9 m d10 d10x3", "silu"),
        ),
        ({"lr": 0.3}, {"rot": 3.0, "shift": 0.5}, {"wd": 1e-5}),
        rungs=((3, 0), (4, 2)),
        submission="eva.experiments.frontier.under_697",
    ),
    Problem(
        "one_epoch_25k", 24_999,
        Candidate("c16 c24 m d64 d64 d64", "silu", changed(epochs=1, rot=0, scale=0, shift=0, ema=None, bs=32)),
        both("c16 c32 m d80 d96", "c12 c20 m d64 d64 d64x2", "c24 c32 m d64 d80"),
        ({"lr": 0.2}, {"lr": 0.05}, {"peak": 0.3}, {"opt": "adamw", "lr": 0.01}, {"ema": 0.99}, {"bs": 64}),
        rungs=((4, 0), (3, 2)),
        submission="eva.experiments.one_epoch_25k",
    ),
    Problem(
        "mnist_20k", 19_999,
        Candidate("c12 q3 c20 q3 m d64 q3 d64 q3 d64x2 q3", "silu", changed(bs=128, ema=0.998, epochs=19)),
        both("c16 q5 c24 q5 m d64 q5 d72 q5 d72x2 q5"),
        (),
        rungs=((0, 0), (2, 1)),
        submission="eva.experiments.mnist_20k",
    ),
)  # fmt: skip

if __name__ == "__main__":
    for p in PROBLEMS:
        found = p.start()
        print(
            p.name,
            len(found),
            [(c.spec, parameters(c.spec)) for c in dict.fromkeys(found)][: len(p.networks) + 1],
        )
        dropped = [(s, parameters(s)) for s, _ in p.networks if parameters(s) > p.limit]
        print("  DROPPED", dropped)
        for c in found:
            recipe(dict(c.changes))
