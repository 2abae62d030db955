"""Advice points at what usually goes better, with the lesson's address, and never fails."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from eva.grading.checks.advice import (
    ADVISERS,
    Advice,
    advice_on,
    advice_on_network,
    advice_on_run,
)
from eva.grading.checks.report import Report
from eva.grading.checks.rubric import load_assignment
from eva.grading.graph.candidate import Candidate
from eva.recipe import SGD, Adam, OneCycle, Recipe, RMSprop
from eva.record import EpochRow, Run
from eva.submission import load_submission

ROOT = Path(__file__).parents[3]
RECIPE = Recipe(optimizer=SGD(lr=0.1))
OURS = ("exp1", "exp2", "exp3", "exp4", "exp5", "reference")


def conv(channels: int, out: int, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(channels, out, kernel, stride, bias=False), nn.BatchNorm2d(out), nn.ReLU()
    ]  # fmt: skip


def body() -> list[nn.Module]:
    """Whose last map sees 24 pixels."""
    return [*conv(1, 4, 8, 2), *conv(4, 4, 3, 2), *conv(4, 4)]


def pooled() -> nn.Module:
    return nn.Sequential(*body(), nn.Conv2d(4, 10, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())


class Written(nn.Module):
    """A layer, and an ending in the functional style."""

    def __init__(self, end: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.layer, self.end = nn.Linear(784, 10), end

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.layer(x.flatten(1)))


def ends(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 10, 20, 4), *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def about(model: nn.Module) -> list[str]:
    return [advice.about for advice in advice_on_network(model, RECIPE)]


def without_norm() -> nn.Module:
    layers = [layer for layer in body() if not isinstance(layer, nn.BatchNorm2d)]
    return nn.Sequential(*layers, nn.Conv2d(4, 10, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def narrow(pool: nn.Module) -> nn.Module:
    last = nn.Conv2d(4, 10, 3)  # sees 12 pixels
    return nn.Sequential(*conv(1, 4, 4), *conv(4, 4, 3, 2), *conv(4, 4), last, pool, nn.Flatten())


def biased() -> nn.Module:
    others = body()[1:]
    return nn.Sequential(
        nn.Conv2d(1, 4, 8, 2), *others, nn.Conv2d(4, 10, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


SAID = {
    "softmax": (lambda: Written(lambda x: F.softmax(x, dim=-1)), "softmax_at_the_end"),
    "log_softmax": (lambda: Written(lambda x: x.log_softmax(1)), "log_softmax_at_the_end"),
    "ReLU before the pool": (lambda: ends(nn.ReLU()), "relu_at_the_end"),
    "relu_": (lambda: Written(lambda x: F.relu(x, inplace=True)), "relu_at_the_end"),
    "sigmoid": (lambda: Written(torch.sigmoid), "squashed_at_the_end"),
    "dropout": (lambda: ends(nn.Dropout(0.1)), "dropout_at_the_end"),
    "BatchNorm": (lambda: ends(nn.BatchNorm2d(10)), "batch_norm_at_the_end"),
    "bias": (biased, "bias_before_batch_norm"),
    "no BatchNorm": (without_norm, "no_normalization"),
    "12 pixels": (lambda: narrow(nn.AdaptiveAvgPool2d(1)), "narrow_field"),
}


@pytest.mark.parametrize("name", SAID)
def test_what_usually_goes_better_is_said(name: str) -> None:
    make, expected = SAID[name]
    found = about(make())
    assert expected in found
    assert set(found) <= {expected, "bias_before_batch_norm"}  # of the head, before its BatchNorm


def test_several_at_once_are_all_said_with_their_numbers() -> None:
    model = ends(nn.BatchNorm2d(10), nn.ReLU(), nn.Dropout(0.1), nn.LogSoftmax(1))
    assert set(about(model)) == {
        "log_softmax_at_the_end",
        "relu_at_the_end",
        "dropout_at_the_end",
        "batch_norm_at_the_end",
        "bias_before_batch_norm",
    }
    texts = [str(advice) for advice in advice_on_network(biased(), RECIPE)]
    assert texts == [
        "Advice: 4 parameters are biases before a BatchNorm (0), which subtracts them again: write "
        "bias=False. See docs/lessons/parameters.md#does-a-convolution-need-a-bias."
    ]


@pytest.mark.parametrize(
    "make",
    [
        pooled,
        lambda: Written(lambda x: x / 2),
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 10)),
        lambda: narrow(nn.Flatten()).append(nn.Linear(490, 10)),  # all positions, by their weights
        lambda: nn.Sequential(
            nn.Conv2d(1, 4, 8, 2), nn.ReLU(), nn.BatchNorm2d(4), *body()[3:], nn.Conv2d(4, 10, 1),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        ),  # the ReLU cuts where the bias says
        lambda: nn.Sequential(
            *(nn.utils.parametrizations.weight_norm(m) if isinstance(m, nn.Conv2d) else m
              for m in without_norm())
        ),
    ],
)  # fmt: skip
def test_there_is_no_false_alarm(make: Callable[[], nn.Module]) -> None:
    assert about(make()) == []


def test_there_is_no_advice_on_our_own_network() -> None:
    """That there is none on the experiments is seen where they are checked, in tests/cli."""
    loaded = load_submission("eva.experiments.reference")
    assert advice_on_network(loaded.build(), loaded.recipe) == ()


def test_there_is_no_advice_on_our_own_records() -> None:
    for name in OURS:
        for path in sorted((ROOT / "docs" / "records" / name).glob("*.json"))[:2]:
            assert advice_on_run(Run.load(path)) == (), path


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        (Recipe(optimizer=SGD(lr=1.0)), "a learning rate of 1 is high for SGD: most networks of "
         "this course want at most 0.5"),
        (Recipe(optimizer=SGD(lr=1e-5)), "is low for SGD: most networks of this course want at "
         "least 0.0005"),
        (Recipe(optimizer=Adam(lr=0.1)), "is high for Adam"),
        (Recipe(optimizer=Adam(lr=1e-6)), "is low for Adam"),
        (Recipe(optimizer=RMSprop(lr=0.5)), "is high for RMSprop"),
        (
            Recipe(optimizer=SGD(lr=0.1, momentum=0.8), schedule=OneCycle(momentum=(0.85, 0.95))),
            "between 0.85 and 0.95, so the 0.8 of SGD is never used",
        ),
        (
            Recipe(optimizer=Adam(), schedule=OneCycle(momentum=(0.85, 0.95))),
            "so the 0.9 of Adam is never used",
        ),
    ],
)  # fmt: skip
def test_a_recipe_at_its_edges_is_advised(recipe: Recipe, words: str) -> None:
    advice = advice_on(Candidate(recipe=recipe))
    assert len(advice) == 1
    assert words in advice[0].text


@pytest.mark.parametrize(
    "optimizer", [SGD(), SGD(lr=0.5), SGD(lr=0.01, momentum=0), SGD(lr=0.0005), Adam(), RMSprop()]
)
def test_a_usual_rate_is_left_alone(optimizer: SGD) -> None:
    assert advice_on(Candidate(recipe=Recipe(optimizer=optimizer))) == ()


def run_of(*accuracies: tuple[float, float], loss: float = 0.1) -> Run:
    first = Run.load(ROOT / "docs" / "records" / "exp4" / "seed0.json")
    rows = [
        EpochRow(**first.rows[0].model_dump() | {
            "epoch": epoch, "train_accuracy": train, "test_accuracy": test, "train_loss": loss,
        })
        for epoch, (train, test) in enumerate(accuracies)
    ]  # fmt: skip
    return first.model_copy(update={"rows": tuple(rows)})


@pytest.mark.parametrize(
    ("run", "expected", "words"),
    [
        (run_of((10.2, 11.3), loss=2.3026), "loss_stands", "stands at 2.30"),
        (run_of(*[(99.9, 97.9)] * 5), "overfits", "2.0 points above"),
        (run_of(*[(94.0, 98.5)] * 5), "underfits", "4.5 points below"),
    ],
)
def test_a_training_that_went_wrong_is_advised(run: Run, expected: str, words: str) -> None:
    found = advice_on_run(run)
    assert [advice.about for advice in found] == [expected]
    assert words in found[0].text


def test_a_first_epoch_lags_behind_and_is_no_reason_for_advice() -> None:
    assert advice_on_run(run_of((70.0, 96.0))) == ()
    assert advice_on_run(run_of()) == ()


def test_every_address_is_a_section_of_a_lesson() -> None:
    import mkdocs  # noqa: F401  the anchors are those that its pages have
    from markdown.extensions.toc import slugify

    for adviser in ADVISERS.values():
        path, _, anchor = adviser.lesson.partition("#")
        lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
        headings = [
            slugify(line.lstrip("# ").partition(" {")[0], "-")
            for line in lines
            if line.startswith("#")
        ]
        assert anchor in headings, adviser.lesson


def test_advice_changes_no_verdict_and_fits_a_terminal() -> None:
    advice = (Advice(about="a", text="words " * 40, lesson="docs/lessons/pipeline.md", fine=True),)
    assignment = load_assignment("mnist_8k")
    plain = Report.of(assignment, "net.py", {})
    advised = Report.of(assignment, "net.py", {}, advice=advice)
    assert (advised.exit_code, advised.points) == (plain.exit_code, plain.points)
    assert "\nNote: words words" in str(advised)
    assert max(map(len, str(advised).splitlines())) <= 80
    assert advised.to_json()["advice"] == [advice[0].to_json()]
