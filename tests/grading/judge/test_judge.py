"""The judge: believes nothing that comes out of the sandbox, and trains from weights of its own."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from eva.data import Dataset, load_mini
from eva.errors import GradingError
from eva.experiments import exp5
from eva.grading.checks.pooling_proof import Proof, prove_pooling
from eva.grading.checks.rubric import load_assignment
from eva.grading.checks.verdict import Status
from eva.grading.graph.candidate import Candidate
from eva.grading.graph.capture import capture
from eva.grading.graph.drawn import is_drawn
from eva.grading.graph.execution import GraphModule
from eva.grading.graph.export import export_graph
from eva.grading.graph.graph import Graph
from eva.grading.graph.nodes import Role
from eva.grading.judge.admitted import Admitted, digest_of, read_record
from eva.grading.judge.initial_weights import draw_initial
from eva.grading.judge.judge import judge_seed, judge_static
from eva.grading.sandbox.outcome import Extraction
from eva.grading.sandbox.record import LENGTH
from eva.grading.sandbox.tiers import Tier
from eva.recipe import SGD, Init, RandomCrop, Recipe
from eva.training.trainer import Trainer

SIZE = (1, 28, 28)
SUBMISSIONS = Path(__file__).parents[1] / "submissions"
RUBRIC = load_assignment("mnist_8k")
SECRET = b"a secret of the tests"


class Small(nn.Module):
    """Honest, with a norm, a PReLU and a dropout, and quick to train."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3, stride=2)
        self.norm = nn.BatchNorm2d(8)
        self.slope = nn.PReLU()
        self.drop = nn.Dropout(0.1)
        self.head = nn.Conv2d(8, 10, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.drop(self.slope(self.norm(self.conv(x))))).mean((2, 3))


@pytest.fixture(scope="module")
def graph() -> Graph:
    torch.manual_seed(0)
    return export_graph(Small(), SIZE)


@pytest.fixture(scope="module")
def tiny() -> Dataset:
    """640 training images and 500 to test on, sorted by digit as mnist-mini is."""
    data = load_mini()
    keep = torch.randperm(4000, generator=torch.Generator().manual_seed(0))[:640]
    return replace(
        data,
        train_images=data.train_images[keep],
        train_labels=data.train_labels[keep],
        test_images=data.test_images[::2],
        test_labels=data.test_labels[::2],
    )


def extraction(graph: Graph | None, recipe: Recipe | None = None, /, **changes: Any) -> Extraction:
    header: dict[str, Any] = {
        "model": "Small",
        "recipe": (recipe or Recipe()).to_json(),
        "graph": None if graph is None else graph.to_json(),
        "fixed": 0,
        "mistakes": {},
    }
    text = json.dumps(header | changes).encode()
    numbers = b"" if graph is None else graph.to_bytes()
    return done(LENGTH.pack(len(text)) + text + numbers)


def done(captured: bytes, status: str = "done", message: str = "") -> Extraction:
    return Extraction(
        tier=Tier.A, status=status, captured=captured, message=message, trace=None, seconds=1.0
    )


def statuses(submitted: Admitted) -> dict[str, Status]:
    return {check: verdict.status for check, verdict in submitted.verdicts.items()}


def test_honest_record_passes_all_six_checks(graph: Graph) -> None:
    submitted = judge_static(extraction(graph), RUBRIC)
    assert statuses(submitted) == dict.fromkeys(
        load_assignment("mnist_8k").asked(trains=False), Status.PASSED
    )
    assert submitted.verdicts["imports"].message == "imports: build_model() gives a Small."
    assert submitted.recipe == Recipe()


@pytest.mark.parametrize("status", ["crashed", "timeout", "memory", "output", "no-record"])
def test_no_record_no_pass(status: str) -> None:
    submitted = judge_static(done(b"", status, "it ended itself"), RUBRIC)
    assert list(submitted.verdicts) == list(load_assignment("mnist_8k").asked(trains=False))
    assert submitted.digest == ""
    assert statuses(submitted)["imports"] is Status.FAILED
    assert Status.PASSED not in statuses(submitted).values()


@pytest.mark.parametrize("status", ["stalled", "killed"])
def test_an_end_that_may_be_the_machines_fault_needs_a_person(status: str) -> None:
    submitted = judge_static(done(b"", status, "it was slow"), RUBRIC)
    assert statuses(submitted)["imports"] is Status.NEEDS_REVIEW
    assert "it was slow" in submitted.verdicts["imports"].message
    assert Status.PASSED not in statuses(submitted).values()


def test_export_that_failed_needs_review_and_is_never_a_zero() -> None:
    mistake = {"problem": "torch.export can't write it.", "trace": None, "review": True}
    submitted = judge_static(extraction(None, mistakes={"graph": mistake}), RUBRIC)
    assert Status.FAILED not in statuses(submitted).values()
    for check in ("shapes", "under_8k", "pooling"):
        assert submitted.verdicts[check].status is Status.NEEDS_REVIEW
        assert "can't write it" in submitted.verdicts[check].message


def test_forward_that_raised_is_a_failure_with_the_students_traceback() -> None:
    mistake = {"problem": "forward raised ValueError", "trace": "line 3", "review": False}
    submitted = judge_static(extraction(None, mistakes={"forward": mistake}), RUBRIC)
    assert submitted.verdicts["shapes"].status is Status.FAILED
    assert submitted.verdicts["shapes"].trace == "line 3"


def change(graph: Graph, mode: str, index: int, **new: Any) -> dict[str, Any]:
    value: Any = copy.deepcopy(graph.to_json())
    value[mode]["nodes"][index] |= new
    return value


@pytest.mark.parametrize(
    ("new", "words"),
    [
        ({"op": "aten._foobar_is_output.default"}, "tensor operations"),
        ({"op": "aten.embedding.default"}, "not on the list"),
        ({"op": "aten.add.out"}, "not on the list"),
        ({"op": "aten.zeros.default", "args": [[10**12]], "kwargs": {}}, "numbers for an image"),
        ({"op": "aten.zeros.default", "args": [[2**63]], "kwargs": {}}, "64 bits"),
        ({"op": "aten.ones.default", "args": [[9]], "kwargs": {"device": "cuda"}}, "not known"),
        ({"op": "py.pow", "args": [9, 10**9], "kwargs": {}}, "takes sizes"),
        ({"op": "py.mul", "args": [[1, 1], 10**9], "kwargs": {}}, "takes sizes"),
        ({"args": [{"ref": "input"}, {"ref": "input"}]}, "can't run on a batch"),
    ],
)
def test_dangerous_operation_is_refused_before_it_runs(
    graph: Graph, new: dict[str, Any], words: str
) -> None:
    changed = extraction(graph, graph=change(graph, "eval", 0, **new))
    verdicts = judge_static(changed, RUBRIC).verdicts
    for check in ("shapes", "under_8k", "pooling"):
        assert verdicts[check].status in (Status.NEEDS_REVIEW, Status.SKIPPED)
        assert words in verdicts[check].message + verdicts["imports"].message
    assert Status.NEEDS_REVIEW in {verdict.status for verdict in verdicts.values()}


def test_memory_that_grows_with_the_batch_is_seen_at_the_batch_of_the_recipe() -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            n = x.shape[0]
            scores = x.mean((2, 3)).expand(n, 10)
            return scores + torch.ones(n * n, n, 8).mean() if self.training else scores

    grows = export_graph(Net(), SIZE)
    assert read_record(extraction(grows, Recipe(batch_size=64))).graph is not None
    refused = read_record(extraction(grows, Recipe(batch_size=4096)))
    assert refused.graph is None
    assert "more than the 8,000,000,000 bytes of a worker" in refused.mistakes["graph"].problem


@pytest.mark.parametrize(
    "captured",
    [
        b"",
        b"1234567",
        LENGTH.pack(2**60) + b"{}",
        LENGTH.pack(2) + b"[]",
        LENGTH.pack(3) + b"NaN",
        LENGTH.pack(200_000) + b"[" * 200_000,
        LENGTH.pack(16) + b'{"mistakes": {}}',
        LENGTH.pack(24) + b'{"mistakes": {"x": null}}',
    ],
    ids=["empty", "short", "length", "list", "constant", "deep", "nothing", "mistakes"],
)
def test_damaged_record_needs_review(captured: bytes) -> None:
    with pytest.raises(GradingError):
        read_record(done(captured))
    assert statuses(judge_static(done(captured), RUBRIC))["imports"] is Status.NEEDS_REVIEW


def test_recipe_that_would_fill_the_memory_is_not_trained(graph: Graph) -> None:
    huge = Recipe(augment=(RandomCrop(padding=1000),))
    submitted = judge_static(extraction(graph, huge), RUBRIC)
    assert submitted.verdicts["recipe"].status is Status.NEEDS_REVIEW
    assert submitted.digest == ""
    many = judge_static(extraction(graph, Recipe(batch_size=10**6)), RUBRIC)
    assert many.verdicts["recipe"].status is Status.NEEDS_REVIEW
    assert "batches of" in many.verdicts["recipe"].message
    assert many.verdicts["pooling"].status is Status.PASSED  # what can be said is said


def test_numbers_that_are_never_trained_need_a_person(graph: Graph) -> None:
    stored = tuple(
        replace(s, role=Role.BUFFER, trainable=False) if s.name == "head.weight" else s
        for s in graph.stored
    )
    frozen = judge_static(extraction(replace(graph, stored=stored)), RUBRIC)
    assert frozen.verdicts["recipe"].status is Status.NEEDS_REVIEW
    assert frozen.verdicts["recipe"].details["carried"] > 720


def test_first_weights_are_the_judges_and_of_the_size_that_pytorch_draws(graph: Graph) -> None:
    one, same, other = draw_initial(graph, 1), draw_initial(graph, 1), draw_initial(graph, 2)
    assert one.to_bytes() == same.to_bytes()
    given = {s.name: s.data for s in graph.stored}
    again = {s.name: s.data for s in other.stored}
    drawn = {s.name: s.data for s in one.stored}
    for name in ("conv.weight", "conv.bias", "head.weight", "head.bias"):
        assert not (drawn[name] == given[name]).any()
        assert not (drawn[name] == again[name]).any()
    assert drawn["head.weight"].abs().max() <= 72**-0.5
    assert drawn["head.weight"].std() == pytest.approx((72 * 3) ** -0.5, rel=0.1)
    assert drawn["head.bias"].abs().max() <= 72**-0.5
    assert torch.equal(drawn["slope.weight"], torch.tensor([0.25]))


def test_statistics_and_norms_start_anew_whatever_was_handed_in() -> None:
    model = Small()
    for tensor in (model.norm.weight, model.norm.bias, model.norm.running_mean):
        assert tensor is not None
        nn.init.normal_(tensor)
    assert model.norm.running_var is not None
    nn.init.uniform_(model.norm.running_var)
    drawn = {s.name: s.data for s in draw_initial(export_graph(model, SIZE), 0).stored}
    for name, value in (("weight", 1), ("bias", 0), ("running_mean", 0), ("running_var", 1)):
        assert (drawn[f"norm.{name}"] == value).all()


def test_weight_norm_starts_at_the_norm_of_its_new_direction() -> None:
    found = capture(SUBMISSIONS / "honest" / "weight_norm.py").graph
    assert found is not None
    stored = {s.name: s.data for s in draw_initial(found, 3).stored}
    scale = stored["0.parametrizations.weight.original0"]
    direction = stored["0.parametrizations.weight.original1"]
    torch.testing.assert_close(scale, direction.flatten(1).norm(dim=1).view(-1, 1, 1, 1))


def test_zeros_ones_and_identities_are_choices_and_stay() -> None:
    model = Small()
    nn.init.zeros_(model.head.weight)
    nn.init.dirac_(model.conv.weight)
    kept = {s.name for s in export_graph(model, SIZE).stored if not is_drawn(s)}
    assert {"head.weight", "conv.weight", "slope.weight"} <= kept


def test_digest_is_of_what_the_judge_trains(graph: Graph) -> None:
    torch.manual_seed(99)
    same, other = export_graph(Small(), SIZE), Small()
    nn.init.zeros_(other.head.weight)
    digest = digest_of(read_record(extraction(graph)))
    assert digest == digest_of(read_record(extraction(same)))
    assert digest != digest_of(read_record(extraction(export_graph(other, SIZE))))
    assert digest != digest_of(read_record(extraction(graph, Recipe(epochs=14))))


def test_training_repeats_with_its_secret_and_differs_with_another(
    graph: Graph, tiny: Dataset
) -> None:
    recipe = Recipe(epochs=2, optimizer=SGD(lr=0.05), init=Init.KAIMING_NORMAL)
    submitted = judge_static(extraction(graph, recipe), RUBRIC)
    torch.manual_seed(5)
    first = judge_seed(submitted, tiny, index=0, secret=SECRET, assignment="mnist_8k")
    torch.manual_seed(6)
    again = judge_seed(submitted, tiny, index=0, secret=SECRET, assignment="mnist_8k")
    assert first.accuracies == again.accuracies
    assert (len(first.accuracies), first.parameters, first.doubt) == (2, 827, "")
    others = {
        judge_seed(submitted, tiny, index=i, secret=s, assignment="mnist_8k").accuracies
        for i, s in ((1, SECRET), (0, b"another secret, longer"))
    }
    assert first.accuracies not in others


def test_a_record_is_read_and_admitted_once_for_all_its_seeds(
    graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = extraction(graph, Recipe(epochs=3))
    first = judge_static(record, RUBRIC).candidate
    monkeypatch.setattr("eva.grading.judge.admitted.admitted", None)  # a second call would raise
    assert read_record(record) is first


def judged(candidate: Candidate) -> Admitted:
    """As if all checks had passed it."""
    return Admitted(candidate=candidate, digest=digest_of(candidate))


def test_network_that_answers_by_place_earns_nothing(tiny: Dataset) -> None:
    """Its scores are one-hot by the place in the batch; in sorted order all would be right."""
    found = capture(SUBMISSIONS / "attacks" / "label_order.py").graph
    assert found is not None
    module = GraphModule(found).eval()
    predicted = module(tiny.test_images.float()).argmax(1)
    assert (predicted == tiny.test_labels).float().mean() == 1
    submitted = judged(read_record(extraction(found, Recipe(epochs=1))))
    result = judge_seed(submitted, tiny, index=0, secret=SECRET, assignment="mnist_8k")
    assert result.accuracies == ()
    assert "in another order" in result.problem


class Mixes(nn.Module):
    """Subtracts the mean of the batch, but only where a digit is: noise does not set it off."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Conv2d(1, 8, 3, stride=3), nn.Conv2d(8, 10, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.first(x)
        if not self.training:
            digits = (torch.relu(-0.45 - x).amax((0, 1, 2, 3)) == 0).float()
            h = h - digits * h.mean(0, keepdim=True)
        return self.head(h).mean((2, 3))


def test_scores_of_real_images_that_depend_on_their_batch_earn_nothing(tiny: Dataset) -> None:
    submitted = judged(read_record(extraction(export_graph(Mixes(), SIZE), Recipe(epochs=1))))
    result = judge_seed(submitted, tiny, index=0, secret=SECRET, assignment="mnist_8k")
    assert result.accuracies == ()
    assert "other images of the batch" in result.problem


class Unfolds(nn.Module):
    """Unfolds 200 weights into 9,216, but only where an image has gray, as real digits do."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Conv2d(1, 8, 3, stride=3), nn.Conv2d(128, 10, 1)
        self.rows, self.columns = nn.Parameter(torch.randn(128, 1)), nn.Parameter(torch.randn(72))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gray = ((x > 0.1) & (x < 2)).float().mean((0, 1, 2, 3))
        gate = (gray > 0).float() * (torch.relu(-0.45 - x).amax((0, 1, 2, 3)) == 0).float()
        w = ((gate * self.rows) * self.columns).sin().view(128, 8, 3, 3)
        return self.head(torch.nn.functional.conv2d(self.first(x), w)).mean((2, 3))


def test_weights_that_only_real_images_unfold_are_counted_on_real_images(tiny: Dataset) -> None:
    candidate = read_record(extraction(export_graph(Unfolds(), SIZE), Recipe(epochs=1)))
    assert candidate.count.unfolded < 8000
    result = judge_seed(judged(candidate), tiny, index=0, secret=SECRET, assignment="mnist_8k")
    assert "on real images" in result.doubt


class Beside(nn.Module):
    """A flattened path beside the mean."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Conv2d(1, 8, 3, stride=3), nn.Conv2d(8, 10, 1)
        self.flat = nn.Linear(648, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.first(x)
        return self.head(h).mean((2, 3)) + self.flat(h.flatten(1))


def test_a_hole_in_the_proof_would_be_found_by_the_trial_on_trained_weights(
    tiny: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def believes(*given: Any, **settings: Any) -> Proof:
        return replace(prove_pooling(*given, **settings), holds=True)

    candidate = read_record(extraction(export_graph(Beside(), SIZE), Recipe(epochs=1)))
    monkeypatch.setattr("eva.grading.judge.second_witness.prove_pooling", believes)
    result = judge_seed(judged(candidate), tiny, index=0, secret=SECRET, assignment="mnist_8k")
    assert "where the mean of the map does not" in result.doubt


def test_training_that_raises_counts_as_nothing_and_says_why(graph: Graph, tiny: Dataset) -> None:
    frozen = replace(graph, stored=tuple(replace(s, trainable=False) for s in graph.stored))
    submitted = judged(read_record(extraction(frozen, Recipe(epochs=1))))
    result = judge_seed(submitted, tiny, index=0, secret=SECRET, assignment="mnist_8k")
    assert result.accuracies == ()
    assert result.problem


def test_fault_of_the_machine_is_no_result(
    graph: Graph, tiny: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_memory(self: Trainer) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(Trainer, "fit", out_of_memory)
    submitted = judged(read_record(extraction(graph, Recipe(epochs=1))))
    with pytest.raises(RuntimeError, match="allocate memory"):
        judge_seed(submitted, tiny, index=0, secret=SECRET, assignment="mnist_8k")


def test_loss_that_is_not_finite_breaks_a_training_off_and_earns_nothing(
    graph: Graph, tiny: Dataset
) -> None:
    recipe = Recipe(epochs=2, optimizer=SGD(lr=1e30))
    submitted = judge_static(extraction(graph, recipe), RUBRIC)
    result = judge_seed(submitted, tiny, index=0, secret=SECRET, assignment="mnist_8k")
    assert result.accuracies == ()
    assert "NaN or infinite" in result.problem


def test_what_failed_a_check_is_not_trained(graph: Graph, tiny: Dataset) -> None:
    submitted = judge_static(extraction(graph, Recipe(epochs=16)), RUBRIC)
    with pytest.raises(GradingError, match="recipe failed"):
        judge_seed(submitted, tiny, index=0, secret=SECRET, assignment="mnist_8k")


def test_trainer_gives_graph_and_model_the_same_epochs(tiny: Dataset) -> None:
    """The whole loop, with schedule, augmentation, dropout and running statistics."""
    torch.manual_seed(1)
    model = exp5.build_model()
    module = GraphModule(export_graph(model, SIZE))
    recipe = exp5.RECIPE.model_copy(update={"epochs": 2})
    runs = [Trainer(m, recipe, tiny, device="cpu", seed=3).fit() for m in (model, module)]
    for ours, theirs in zip(runs[0].rows, runs[1].rows, strict=True):
        assert ours.train_loss == pytest.approx(theirs.train_loss, rel=1e-4)
        assert ours.test_loss == pytest.approx(theirs.test_loss, rel=1e-3)
    for (name, one), other in zip(
        model.state_dict().items(), module.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4, msg=name)
