"""Every honest way to write the model is accepted, every cheat is refused, none crashes us."""

import json
from functools import cache
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from eva.grading.checks.allowlist import admitted
from eva.grading.checks.fast import run_fast_checks
from eva.grading.checks.rubric import load_assignment
from eva.grading.checks.verdict import Status, Verdict
from eva.grading.graph.capture import Captured, capture
from eva.grading.graph.nodes import Role
from eva.grading.judge.judge import judge_static
from eva.grading.sandbox.child import LENGTH
from eva.grading.sandbox.outcome import Extraction
from eva.grading.sandbox.tiers import Tier
from eva.seeds import seeded
from eva.submission import load_submission

SUBMISSIONS = Path(__file__).parents[1] / "submissions"
HONEST = sorted((SUBMISSIONS / "honest").glob("*.py"))
CHEATS = sorted((SUBMISSIONS / "cheats").glob("*.py"))
DOUBTFUL = sorted((SUBMISSIONS / "doubtful").glob("*.py"))
UNFIT = sorted((SUBMISSIONS / "unfit").glob("*.py"))
RUBRIC = load_assignment("mnist_8k")
EXPERIMENTS = [f"eva.experiments.exp{n}" for n in range(1, 6)]
POOLING = ("pool", "full", "max", "log", "mean", "weighted", "sum", "global", "written_scores")


def name(target: object) -> str:
    return Path(str(target)).stem


@cache
def looked_at(path: str | Path) -> tuple[Captured, dict[str, Verdict]]:
    """Captured once for all tests here, with the verdicts of practice."""
    found = capture(path)
    return found, {verdict.check: verdict for verdict in run_fast_checks(found)}


def official(found: Captured) -> dict[str, Verdict]:
    """The verdicts of the judge, from the record that a sandbox would write."""
    text = json.dumps(found.to_json()).encode()
    numbers = b"" if found.graph is None else found.graph.to_bytes()
    record = Extraction(
        tier=Tier.A,
        status="done",
        captured=LENGTH.pack(len(text)) + text + numbers,
        message="",
        trace=None,
        seconds=1.0,
    )
    return dict(judge_static(record, RUBRIC).verdicts)


@pytest.mark.parametrize("path", [*HONEST, *CHEATS, *DOUBTFUL, *UNFIT, *EXPERIMENTS], ids=name)
def test_practice_and_judge_say_the_same_of_the_same_file(path: str | Path) -> None:
    found, practice = looked_at(path)
    judge = official(found)
    assert {c: v.status for c, v in judge.items()} == {c: v.status for c, v in practice.items()}
    assert {c: v.message for c, v in judge.items()} == {c: v.message for c, v in practice.items()}


@pytest.mark.parametrize("path", DOUBTFUL, ids=name)
def test_what_a_person_must_see_is_for_review_at_the_check_that_the_file_names(path: Path) -> None:
    check = path.read_text().split(":")[0].removeprefix('"""For a person at ')
    _, verdicts = looked_at(path)
    assert verdicts[check].status == Status.NEEDS_REVIEW
    assert Status.FAILED not in {verdict.status for verdict in verdicts.values()}


@pytest.mark.parametrize("path", UNFIT, ids=name)
def test_what_cannot_be_trained_or_tested_fails_at_the_check_that_the_file_names(
    path: Path,
) -> None:
    check = path.read_text().split(":")[0].removeprefix('"""Fails at ')
    _, verdicts = looked_at(path)
    assert verdicts[check].status == Status.FAILED
    assert len(verdicts[check].message) > 40


def test_parameters_that_never_ran_are_named_with_their_number() -> None:
    _, verdicts = looked_at(SUBMISSIONS / "honest" / "unused_layer.py")
    assert "584 parameters of `forgotten` never ran" in verdicts["under_8k"].message


def test_dropout_that_is_left_on_is_told_with_its_remedy() -> None:
    _, verdicts = looked_at(SUBMISSIONS / "unfit" / "dropout_left_on.py")
    assert "training=self.training" in verdicts["under_8k"].message


@pytest.mark.parametrize("path", [*HONEST, *EXPERIMENTS[2:]], ids=name)
def test_honest_submission_is_accepted_and_its_graph_trains_as_the_model_does(
    path: str | Path,
) -> None:
    found, verdicts = looked_at(path)
    assert list(verdicts) == list(load_assignment("mnist_8k").asked(trains=False))
    assert [(c, v.message) for c, v in verdicts.items() if v.status != Status.PASSED] == []
    assert_trains_alike(found)


@pytest.mark.parametrize("path", EXPERIMENTS[:2], ids=name)
def test_graphs_of_the_first_experiments_train_as_their_models_do(path: str) -> None:
    assert_trains_alike(capture(path))


def assert_trains_alike(found: Captured) -> None:
    """Three steps of SGD on the same data: losses, gradients, statistics, then eval scores."""
    assert found.network is not None
    model, graph = found.network, found.trainable()
    images = torch.randn(3, 4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([3, 1, 4, 1])
    for batch in images:
        losses = []
        for module in (model, graph):
            module.train()
            module.zero_grad()
            with seeded(torch.device("cpu"), 9):
                loss = F.cross_entropy(module(batch), labels)
            loss.backward()
            losses.append(loss.item())
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)
        ours = dict(graph.named_parameters())
        theirs = dict(model.named_parameters(remove_duplicate=False))
        for key, parameter in ours.items():
            torch.testing.assert_close(parameter.grad, theirs[key].grad)
        with torch.no_grad():
            for module in (model, graph):
                for p in module.parameters():
                    if p.grad is not None:
                        p -= 0.1 * p.grad
    buffers = dict(model.named_buffers())
    for key, buffer in graph.named_buffers():
        if key in buffers:
            torch.testing.assert_close(buffer, buffers[key])
    with torch.no_grad():
        torch.testing.assert_close(graph.eval()(batch), model.eval()(batch), rtol=1e-4, atol=1e-5)


MIX_IMAGES = {"generator_network_from_image"}  # its weights come from the mean of a batch


@pytest.mark.parametrize("path", CHEATS, ids=name)
def test_cheat_is_refused_with_a_reason_and_nothing_else_is_wrong_with_it(path: Path) -> None:
    found, verdicts = looked_at(path)
    refused = {check: v for check, v in verdicts.items() if v.status != Status.PASSED}
    if admitted(found).graph is None or name(path) in MIX_IMAGES:
        # What can't be counted has no shapes to be seen either.
        assert refused.pop("shapes").status == Status.NEEDS_REVIEW
    assert {v.status for v in refused.values()} <= {Status.FAILED, Status.NEEDS_REVIEW}
    assert all(len(v.message) > 30 for v in refused.values())
    if name(path).startswith(POOLING):
        assert set(refused) == {"pooling"}
    elif name(path).startswith("trained"):
        assert set(refused) == {"recipe"}
    else:
        assert "under_8k" in refused
        # Numbers that are stored and never trained are the recipe's matter, too.
        assert set(refused) <= {"under_8k", "under_10k", "pooling", "recipe"}


@pytest.mark.parametrize(
    "cheat", ["weights_in_closure", "modules_in_list", "layers_at_first_forward", "weights_in_hook"]
)
def test_counting_parameters_of_the_module_would_let_a_cheat_pass(cheat: str) -> None:
    model = load_submission(SUBMISSIONS / "cheats" / f"{cheat}.py").build()
    assert sum(p.numel() for p in model.parameters()) < 8000


def test_generator_network_counts_what_it_stores_and_says_what_it_unfolds_into() -> None:
    verdict = run_fast_checks(capture(SUBMISSIONS / "cheats" / "generator_network.py"))[3]
    assert verdict.status == Status.NEEDS_REVIEW
    assert verdict.details["parameters"] == 2314
    assert "13,290" in verdict.message


def test_constants_are_no_parameters_to_train() -> None:
    graph = capture(SUBMISSIONS / "cheats" / "modules_in_list.py").graph
    assert graph is not None
    assert {s.role for s in graph.stored if not s.trainable} == {Role.CONSTANT}
