"""What students' networks make of the capture: a graph, or a reason that helps."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from eva.grading.checks.fast import run_fast_checks
from eva.grading.checks.verdict import Status, Verdict
from eva.grading.graph import capture as captures
from eva.grading.graph.candidate import Candidate
from eva.grading.graph.capture import Captured, capture
from eva.grading.graph.conversion import Unsupported
from eva.grading.graph.export import export_graph
from eva.grading.graph.trial import shape_problem
from eva.recipe import Recipe
from eva.submission import module_of


def plain() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 10, 3, stride=3), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def captured(builder: Callable[[], nn.Module]) -> Captured:
    return capture(module_of(builder, Recipe()))


def verdicts(candidate: Candidate) -> dict[str, Verdict]:
    return {v.check: v for v in run_fast_checks(candidate)}


@pytest.mark.parametrize("own", [0, 1, 2, 42])
def test_a_seed_of_ones_own_makes_no_weights_from_home(own: int) -> None:
    def build_model() -> nn.Module:
        torch.manual_seed(own)
        return plain()

    assert captured(build_model).fixed == 0
    assert torch.rand(1) != torch.rand(1), "seeds work again"
    assert torch.manual_seed(0).initial_seed() == 0


def test_weights_that_are_written_down_are_found_beside_a_seed() -> None:
    def build_model() -> nn.Module:
        torch.manual_seed(42)
        model = plain()
        model[0].weight.data = torch.linspace(-1, 1, 90).view(10, 1, 3, 3)
        return model

    assert captured(build_model).fixed == 90


class Row(torch.Tensor):
    """A tensor that refuses to be compared."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        if function is torch.equal:
            raise TypeError("not comparable")
        return super().__torch_function__(function, types, args, kwargs or {})


def on_meta() -> nn.Module:
    model = plain()
    model.extra = nn.Linear(3, 3, device="meta")
    return model


def sparse() -> nn.Module:
    model = plain()
    model.register_buffer("table", torch.eye(8).to_sparse())
    return model


def of_a_class_of_its_own() -> nn.Module:
    model = plain()
    model[0].weight = nn.Parameter(model[0].weight.detach().as_subclass(Row))
    return model


@pytest.mark.parametrize(
    ("builder", "check", "status", "words"),
    [
        (on_meta, "imports", Status.FAILED, "extra.weight is on the meta device"),
        (sparse, "imports", Status.FAILED, "table is sparse"),
        (of_a_class_of_its_own, "under_8k", Status.NEEDS_REVIEW, "not comparable"),
    ],
)
def test_odd_tensors_are_a_verdict(
    builder: Callable[[], nn.Module], check: str, status: Status, words: str
) -> None:
    verdict = verdicts(captured(builder))[check]
    assert verdict.status is status
    assert words in verdict.message


def test_a_network_far_too_large_is_counted_and_not_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(captures, "LARGEST_NETWORK", 99)
    monkeypatch.setattr(captures, "export_graph", lambda *args, **more: pytest.fail("exported"))
    ours = captured(plain)
    assert (ours.graph, ours.stored) == (None, 100)
    read = Candidate.from_json(ours.to_json(), b"")  # as the judge reads it
    assert read.stored == 100
    answers = run_fast_checks(Candidate(**{**vars(read), "stored": 4_000_001}))
    failed = [v for v in answers if v.status is Status.FAILED]
    assert {v.check for v in failed} == {"under_10k", "under_8k"}
    assert "your model stores 4,000,001" in failed[0].message


def test_squeeze_of_a_batch_of_one_is_told_with_its_remedy() -> None:
    problem = shape_problem(torch.zeros(10), (1, 1, 28, 28), 10, "a batch of 1")
    assert problem is not None and "use .flatten(1)" in problem
    others = shape_problem(torch.zeros(2, 9), (2, 1, 28, 28), 10, "a batch of 2")
    assert others is not None and "squeeze" not in others


class Answers(nn.Module):
    """Gives a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.net = plain()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"scores": self.net(x)}


def test_an_answer_that_is_no_tensor_is_told_as_that() -> None:
    found = verdicts(captured(Answers))
    assert "gives a dict, not one tensor of scores" in found["shapes"].message
    assert "forward gives a dict" in found["pooling"].message


@pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated")
def test_what_torch_export_cannot_read_is_told_in_words_that_help() -> None:
    average = nn.Sequential(plain(), nn.BatchNorm1d(10, momentum=None))
    for model, words in ((torch.jit.script(nn.ReLU()), "torch.jit"), (average, "momentum=None")):
        with pytest.raises(Unsupported, match=words):
            export_graph(model, (1, 28, 28))


def test_a_layer_in_half_precision_is_looked_at_as_any_other() -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Conv2d(1, 8, 3, stride=3), nn.Conv2d(8, 10, 1).half()

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.first(x).half()).mean((2, 3)).float()

    candidate = Candidate(recipe=Recipe(), graph=export_graph(Half(), (1, 28, 28)))
    found = verdicts(candidate)
    assert [v.message for v in found.values() if v.status is not Status.PASSED] == []


class GhostNorm(nn.BatchNorm2d):
    """As the course's students know it: statistics of each part of a batch, new ones in eval."""

    def __init__(self, channels: int, parts: int) -> None:
        super().__init__(channels)
        self.parts = parts
        self.register_buffer("running_mean", torch.zeros(channels * parts))
        self.register_buffer("running_var", torch.ones(channels * parts))

    def train(self, mode: bool = True) -> nn.Module:
        if self.training and not mode:
            for name in ("running_mean", "running_var"):
                mean = getattr(self, name).view(self.parts, self.num_features).mean(0)
                setattr(self, name, mean.repeat(self.parts))
        return super().train(mode)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        statistics = [self.running_mean, self.running_var]
        if not self.training:
            first = [numbers[:channels] for numbers in statistics]
            return nn.functional.batch_norm(x, *first, self.weight, self.bias)
        scale, shift = (w.repeat(self.parts) for w in (self.weight, self.bias))
        x = x.view(-1, channels * self.parts, height, width)
        x = nn.functional.batch_norm(x, *statistics, scale, shift, True, self.momentum)
        return x.view(batch, channels, height, width)


def test_buffers_that_a_network_replaces_stay_one_for_training_and_evaluation() -> None:
    def build_model() -> nn.Module:
        return nn.Sequential(nn.Conv2d(1, 10, 3), GhostNorm(10, 2), nn.ReLU(), *plain()[1:])

    ours = captured(build_model)
    assert ours.mistakes == {}
    assert ours.graph is not None
    names = {stored.name for stored in ours.graph.stored}
    assert names == {"0.weight", "0.bias", "1.weight", "1.bias",
                     "1.running_mean", "1.running_var"}  # fmt: skip
    assert ours.count.total == 120
