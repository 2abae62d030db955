"""Checks of what a network is made of, asked of small graphs."""

from functools import cache
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eva.grading.checks.check import known_kinds
from eva.grading.checks.verdict import Status, Verdict
from eva.grading.graph.candidate import Candidate
from eva.grading.graph.export import export_graph
from eva.grading.graph.graph import Graph
from eva.grading.graph.trial import Images

SIZE = (1, 12, 12)
PASSED, FAILED, REVIEW = Status.PASSED, Status.FAILED, Status.NEEDS_REVIEW


class Net(nn.Module):
    """Two convolutions on 12x12, with what a test puts between and behind them."""

    def __init__(self, between: nn.Module | None = None, behind: nn.Module | None = None) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3)
        self.between = between or nn.ReLU()
        self.second = nn.Conv2d(4, 10, 3)
        self.behind = behind or nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.behind(self.second(self.between(self.first(x))))
        return result


class Functional(nn.Module):
    """Applies a function of the map and of whether this is training."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.function(x, self.training)
        return result


class ByHand(nn.Module):
    """Batch normalization that somebody wrote out."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(4))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.mean.mul_(0.9).add_(0.1 * x.mean((0, 2, 3)).detach())
        return x - self.mean.view(1, -1, 1, 1)


class Built(nn.Module):
    """A layer that is built and whose result is thrown away."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        self.norm(x)
        return x


@cache
def exported(model: nn.Module) -> Graph:
    torch.manual_seed(0)
    return export_graph(model, SIZE)


def ask(kind: str, model: nn.Module, **numbers: Any) -> Verdict:
    """The answer of a kind, with numbers read as a rubric's are."""
    candidate = Candidate(graph=exported(model), images=Images(size=SIZE), admitted=True)
    check = known_kinds()[kind]
    return check.answer(candidate, **vars(check.numbers.model_validate(numbers)))


@pytest.mark.parametrize(
    ("operation", "between", "status"),
    [
        ("batch_norm", nn.BatchNorm2d(4), PASSED),
        ("batch_norm", nn.ReLU(), FAILED),
        ("batch_norm", Built(), FAILED),
        ("batch_norm", ByHand(), REVIEW),
        ("layer_norm", nn.BatchNorm2d(4), FAILED),
        ("group_norm", nn.GroupNorm(2, 4), PASSED),
        ("dropout", nn.Dropout(0.1), PASSED),
        ("dropout", nn.Dropout2d(0.1), PASSED),
        ("dropout", nn.Dropout(0.0), FAILED),
        ("dropout", Functional(lambda x, on: F.dropout(x, 0.1, on)), PASSED),
        ("dropout", Functional(lambda x, on: F.dropout(x, 0.1, False)), FAILED),
        ("dropout", Functional(lambda x, on: x * (torch.rand_like(x) > 0.1) if on else x), REVIEW),
        ("max_pooling", nn.MaxPool2d(2), PASSED),
        ("silu", nn.SiLU(), PASSED),
        ("silu", nn.ReLU(), FAILED),
        ("global_average_pooling", nn.ReLU(), PASSED),
    ],
)
def test_what_training_does_is_found(operation: str, between: nn.Module, status: Status) -> None:
    assert ask("uses", Net(between), operations=[operation]).status is status


def test_every_operation_that_is_missing_is_named() -> None:
    found = ask("uses", Net(nn.BatchNorm2d(4)), operations=["batch_norm", "dropout", "max_pooling"])
    assert "no dropout or max_pooling" in found.message


FLAT = nn.Sequential(nn.Flatten(), nn.Linear(10 * 8 * 8, 10))
DENSE = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(10, 10))
WIDE = nn.Sequential(nn.Conv2d(10, 10, 8), nn.Flatten())
LARGEST = nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten())
ON_CHANNELS = Functional(lambda x, on: F.linear(x.permute(0, 2, 3, 1), torch.eye(10)).mean((1, 2)))


@pytest.mark.parametrize(
    ("behind", "no_linear", "either", "pooling", "connected"),
    [
        (None, PASSED, PASSED, PASSED, FAILED),
        (FLAT, FAILED, PASSED, FAILED, PASSED),
        (DENSE, FAILED, PASSED, PASSED, PASSED),
        (WIDE, REVIEW, PASSED, FAILED, PASSED),
        (LARGEST, PASSED, FAILED, FAILED, FAILED),
        (ON_CHANNELS, PASSED, PASSED, PASSED, FAILED),
    ],
    ids=["gap", "flatten", "gap and linear", "wide kernel", "max", "linear on channels"],
)
def test_how_a_network_ends(
    behind: nn.Module | None, no_linear: Status, either: Status, pooling: Status, connected: Status
) -> None:
    gap, dense = "global_average_pooling", "fully_connected"
    net = Net(behind=behind)
    assert ask("no_linear", net).status is no_linear
    assert ask("head", net, one_of=[gap, dense]).status is either
    assert ask("head", net, one_of=[gap]).status is pooling
    assert ask("head", net, one_of=[dense]).status is connected


def test_a_layer_that_is_fully_connected_is_named() -> None:
    assert "behind.1 is one" in ask("no_linear", Net(behind=FLAT)).message


PLAIN = Net()


def test_the_field_at_the_end_is_measured() -> None:
    assert ask("receptive_field", PLAIN, at_least=5, of="last_map").status is PASSED
    small = ask("receptive_field", PLAIN, at_least=6, of="last_map")
    assert (small.status, small.details["receptive_field"]) == (FAILED, [5, 5])
    assert ask("receptive_field", PLAIN, at_least=12).status is PASSED


def test_multiply_adds_are_those_of_the_convolutions() -> None:
    work = 10 * 10 * 4 * 9 + 8 * 8 * 10 * 4 * 9
    assert ask("mult_adds", PLAIN, below=work + 1).status is PASSED
    found = ask("mult_adds", PLAIN, below=work)
    assert (found.status, found.details["mult_adds"]) == (FAILED, work)


@pytest.mark.parametrize(
    ("kind", "numbers"),
    [
        ("uses", {"operations": ["batchnorm"]}),
        ("uses", {"operations": []}),
        ("head", {"one_of": ["linear"]}),
        ("receptive_field", {"at_least": 5, "of": "end"}),
        ("mult_adds", {"below": 0}),
        ("no_linear", {"below": 1}),
    ],
)
def test_numbers_that_a_kind_does_not_take_are_refused(kind: str, numbers: Any) -> None:
    with pytest.raises(ValueError):
        known_kinds()[kind].numbers.model_validate(numbers)
