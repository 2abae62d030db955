"""Every honest way to write the model is accepted, every cheat is refused, none crashes us."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from eva.grading.checks.check import known_checks
from eva.grading.checks.fast import run_fast_checks
from eva.grading.checks.verdict import Status
from eva.grading.graph.capture import Captured, capture
from eva.grading.graph.nodes import Role
from eva.seeds import seeded
from eva.submission import load_submission

SUBMISSIONS = Path(__file__).parents[1] / "submissions"
HONEST = sorted((SUBMISSIONS / "honest").glob("*.py"))
CHEATS = sorted((SUBMISSIONS / "cheats").glob("*.py"))
EXPERIMENTS = [f"eva.experiments.exp{n}" for n in range(1, 6)]
POOLING = ("pool", "full", "max", "log", "mean", "weighted", "sum", "global", "written_scores")


def name(target: object) -> str:
    return Path(str(target)).stem


@pytest.mark.parametrize("path", [*HONEST, *EXPERIMENTS[2:]], ids=name)
def test_honest_submission_is_accepted_and_its_graph_trains_as_the_model_does(
    path: str | Path,
) -> None:
    found = capture(path)
    verdicts = run_fast_checks(found)
    assert [v.check for v in verdicts] == list(known_checks(trains=False))
    assert [(v.check, v.message) for v in verdicts if v.status != Status.PASSED] == []
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


@pytest.mark.parametrize("path", CHEATS, ids=name)
def test_cheat_is_refused_with_a_reason_and_nothing_else_is_wrong_with_it(path: Path) -> None:
    found = capture(path)
    refused = {v.check: v for v in run_fast_checks(found) if v.status != Status.PASSED}
    if found.graph is None:  # what can't be counted has no shapes to be seen either
        assert refused.pop("shapes").status == Status.NEEDS_REVIEW
    assert {v.status for v in refused.values()} <= {Status.FAILED, Status.NEEDS_REVIEW}
    assert all(len(v.message) > 30 for v in refused.values())
    if name(path).startswith(POOLING):
        assert set(refused) == {"pooling"}
    elif name(path).startswith("trained"):
        assert set(refused) == {"recipe"}
    else:
        assert "under_8k" in refused
        assert set(refused) <= {"under_8k", "under_10k", "pooling"}


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
