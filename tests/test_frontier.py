"""The small networks are as small as their names say, legal, and described by their records."""

from pathlib import Path

import pytest
import torch

from eva.record import Run
from eva.study_summary import summarise
from eva.submission import load_submission

RECORDS = Path(__file__).parents[1] / "docs" / "records" / "frontier"
PARAMETERS = {"under_1000": 976, "under_2000": 1_976, "under_3500": 3_472, "under_5000": 4_914}


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_network_is_as_small_as_its_name_says(name: str) -> None:
    submission = load_submission(f"eva.experiments.frontier.{name}")
    model = submission.build(0)
    count = sum(p.numel() for p in model.parameters())
    assert count == PARAMETERS[name] <= int(name.removeprefix("under_"))
    assert submission.recipe.epochs <= 15
    with torch.no_grad():
        assert model(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


@pytest.mark.parametrize("name", sorted(path.name for path in RECORDS.glob("under_*")))
def test_records_are_of_this_submission_and_whole(name: str) -> None:
    runs = [Run.load(path) for path in sorted((RECORDS / name).glob("seed*.json"))]
    submission = load_submission(f"eva.experiments.frontier.{name}")
    study = summarise(runs)
    assert study.seeds == len(runs) >= 2
    for run in runs:
        assert (run.recipe, run.parameters) == (submission.recipe, PARAMETERS[name])
        assert (run.data.name, len(run.rows), run.status) == ("mnist", 15, "finished")


def test_the_repeated_kernel_is_one_parameter_and_used_at_every_time() -> None:
    model = load_submission("eva.experiments.frontier.under_5000").build(0)
    shapes = [tuple(p.shape) for p in model.parameters()]
    assert shapes.count((34, 1, 3, 3)) == shapes.count((34, 34, 1, 1)) == 1
    calls = []
    repeated = model[5]  # type: ignore[index]
    repeated.body.register_forward_hook(lambda module, inputs, output: calls.append(output.shape))
    model(torch.zeros(2, 1, 28, 28))
    assert [tuple(shape[1:]) for shape in calls] == [(34, 6, 6), (34, 4, 4)]
