"""The small networks are as small as their names say, legal, and described by their records."""

import json
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from eva.data import load_mini, to_float
from eva.data.augment import resample, shear, shift
from eva.experiments.frontier.network import Upright, Views
from eva.grading.checks.fast import run_fast_checks
from eva.grading.checks.verdict import Status
from eva.grading.graph.capture import Captured, capture
from eva.grading.graph.counting import count_stored
from eva.record import Run
from eva.studies import summarize
from eva.submission import load_submission

RECORDS = Path(__file__).parents[2] / "docs" / "records" / "frontier"
PARAMETERS = {
    "under_697": 684,
    "under_1000": 976,
    "under_2000": 1_952,
    "under_3500": 3_372,
    "under_5000": 4_914,
    "under_8000": 7_458,
}


@cache
def captured(name: str) -> Captured:
    return capture(f"eva.experiments.frontier.{name}")


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_network_is_as_small_as_its_name_says(name: str) -> None:
    submission = load_submission(f"eva.experiments.frontier.{name}")
    model = submission.build(0)
    count = sum(p.numel() for p in model.parameters())
    assert count == PARAMETERS[name] <= int(name.removeprefix("under_"))
    assert submission.recipe.epochs <= 15
    with torch.no_grad():
        assert model(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_judge_counts_the_statistics_that_normalize_other_looks_and_the_page_says_so(
    name: str,
) -> None:
    model = load_submission(f"eva.experiments.frontier.{name}").build(0)
    graph = captured(name).graph
    assert graph is not None
    stored = count_stored(graph, (1, 28, 28)).total
    statistics = sum(b.numel() for b in model.buffers() if b.is_floating_point())
    looks = any(isinstance(module, Views) for module in model.modules())
    assert stored == PARAMETERS[name] + looks * statistics
    page = (RECORDS.parents[1] / "experiments" / "frontier.md").read_text(encoding="utf-8")
    assert not looks or f"{stored:,}" in page


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_fast_checks_accept_it_or_say_what_a_person_must_decide(name: str) -> None:
    verdicts = run_fast_checks(captured(name))
    open_ = {v.check: v.message for v in verdicts if v.status != Status.PASSED}
    assert set(open_) == (set() if name == "under_8000" else {"pooling"})
    assert all("affine_grid_generator" in message for message in open_.values())  # of Upright


@pytest.mark.parametrize("name", sorted(path.name for path in RECORDS.glob("under_*")))
def test_records_are_of_this_submission_and_whole(name: str) -> None:
    runs = [Run.load(path) for path in sorted((RECORDS / name).glob("seed*.json"))]
    submission = load_submission(f"eva.experiments.frontier.{name}")
    study = summarize(runs)
    assert study.seeds == len(runs) >= 2
    for run in runs:
        assert (run.recipe, run.parameters) == (submission.recipe, PARAMETERS[name])
        assert (run.data.name, len(run.rows), run.status) == ("mnist", 15, "finished")


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_story_tells_the_mean_of_the_records(name: str) -> None:
    runs = [Run.load(path) for path in (RECORDS / name).glob("seed*.json")]
    story = " ".join(
        str(load_submission(f"eva.experiments.frontier.{name}").module.__doc__).split()
    )
    mean = sum(run.rows[-1].test_accuracy for run in runs) / len(runs)
    assert f"{mean:.2f} %" in story and f"{len(runs)} seeds" in story
    held = sum(run.held() for run in runs)
    assert "held" not in story.partition("Result:")[2] or (
        f"{held} of {len(runs)} held" in story or f"All {held} held" in story
    )


def test_a_record_from_another_machine_is_of_the_same_submission() -> None:
    for path in sorted((RECORDS.parent / "robustness").glob("*/seed*.json")):
        run = Run.load(path)
        assert run.recipe == load_submission(run.submission).recipe
        assert run.status == "finished" and len(run.rows) == run.recipe.epochs
        assert run.data.train_size == 60_000


def test_what_the_search_tried_was_held_out_and_is_whole() -> None:
    search = json.loads((RECORDS / "search.json").read_text())
    assert "held out" in search["data"]
    keys = [
        (r["problem"], r["network"], r["activation"], str(r["recipe"]), r["seed"])
        for r in search["runs"]
    ]
    assert len(keys) == len(set(keys))
    for run in search["runs"]:
        assert len(run["held_out_accuracy"]) == min(4, run["recipe"]["epochs"])


def test_the_repeated_kernel_is_one_parameter_and_used_at_every_time() -> None:
    model = load_submission("eva.experiments.frontier.under_5000").build(0)
    shapes = [tuple(p.shape) for p in model.parameters()]
    assert shapes.count((34, 1, 3, 3)) == shapes.count((34, 34, 1, 1)) == 1
    calls = []
    repeated = model[1].body[5]  # type: ignore[index, union-attr]
    repeated.body.register_forward_hook(lambda module, inputs, output: calls.append(output.shape))
    model(torch.zeros(2, 1, 28, 28))
    assert [tuple(shape[1:]) for shape in calls] == [(34, 6, 6), (34, 4, 4)]


def slant_and_center(images: Tensor) -> tuple[Tensor, Tensor]:
    """Slope of x against y over the ink, and the center of mass in pixels from the middle."""
    rows = (torch.arange(28.0) - 13.5).view(1, 28, 1)
    columns = rows.mT
    ink = images[:, 0] / images[:, 0].sum((1, 2), keepdim=True)
    down, across = ((axis * ink).sum((1, 2), keepdim=True) for axis in (rows, columns))
    both = ((rows - down) * (columns - across) * ink).sum((1, 2))
    return both / ((rows - down) ** 2 * ink).sum((1, 2)), torch.cat((across, down), dim=1)[..., 0]


def test_upright_digits_have_no_slant_and_stand_in_the_middle() -> None:
    digits = to_float(load_mini().test_images)
    slant, center = slant_and_center(digits)
    assert slant.abs().mean() > 0.15 and center.abs().max() > 0.4
    slant, center = slant_and_center(Upright()(digits))
    assert slant.abs().mean() < 0.02
    assert center.abs().mean() < 0.01


def test_a_digit_that_is_moved_and_slanted_comes_out_as_it_would_have() -> None:
    digits = to_float(load_mini().test_images[::10])
    moved = torch.tensor([[1.5, -1.0]]).expand(len(digits), 2)
    other = resample(digits, [shear(torch.full((len(digits),), 12.0)), shift(moved)])
    before = (digits - other).abs().mean()
    after = (Upright()(digits) - Upright()(other)).abs().mean()
    assert after < before / 5


def test_paper_of_any_value_stays_as_it_is() -> None:
    blank = torch.full((2, 1, 28, 28), -0.4)
    assert torch.allclose(Upright()(blank), blank)


def test_views_are_five_looks_in_eval_mode_and_one_in_training() -> None:
    body = nn.Sequential(nn.Conv2d(1, 2, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3))
    images = torch.rand(4, 1, 9, 9)
    images[:, :, [0, -1]] = images[:, :, :, [0, -1]] = 0  # so that nothing comes in from outside
    views = Views(body)
    assert torch.equal(views.train()(images), body(images))
    looks = [images]
    for x, y in ((0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5)):
        looks.append(resample(images, [shift(torch.tensor([[x, y]]).expand(4, 2))]))
    expected = torch.stack([body(look) for look in looks]).mean(0)
    assert torch.allclose(views.eval()(images), expected, atol=1e-6)
