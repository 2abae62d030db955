"""What the pages say in words about the experiments is true of the records."""

import statistics
from collections.abc import Callable
from functools import cache
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest

from eva.record import Run

RECORDS = Path(__file__).parents[2] / "docs" / "records"


@cache
def runs(name: str) -> list[Run]:
    found = [Run.load(path) for path in sorted((RECORDS / name).glob("seed*.json"))]
    if not found:
        pytest.skip(f"no record of {name}")
    return found


def mean(name: str, kind: str = "test") -> list[float]:
    """Mean accuracy over seeds, epoch by epoch."""
    rows = zip(*(run.rows for run in runs(name)), strict=True)
    return [statistics.mean(getattr(row, f"{kind}_accuracy") for row in epoch) for epoch in rows]


def rises(name: str) -> list[float]:
    """By how much the mean test accuracy changes in each epoch; the first has no change."""
    values = mean(name)
    return [0.0, *(b - a for a, b in pairwise(values))]


def jumps(name: str, first: int, last: int) -> list[float]:
    """Sizes of the changes of each seed's test accuracy within some epochs."""
    lines = [[row.test_accuracy for row in run.rows[first : last + 1]] for run in runs(name)]
    return [abs(b - a) for line in lines for a, b in pairwise(line)]


def test_1_lies_above_training_in_the_mean_and_jumps_in_each_seed() -> None:
    assert all(a > b for a, b in zip(mean("exp1"), mean("exp1", "train"), strict=True))
    assert max(jumps("exp1", 5, 14)) > 0.2


def test_1_has_nearly_all_of_its_parameters_in_five_convolutions() -> None:
    model = import_module("eva.experiments.exp1").build_model()
    sizes = [sum(p.numel() for p in m.parameters()) for m in model.modules() if not [*m.children()]]
    large = [size for size in sizes if size > 2000]
    assert len(large) == 5 and sum(large) > 0.9 * sum(sizes)


def test_2_crosses_after_three_epochs_and_overfits() -> None:
    pairs = list(zip(mean("exp2"), mean("exp2", "train"), strict=True))
    assert [test > train for test, train in pairs] == [True, True, True] + [False] * 12
    assert pairs[-1][1] > pairs[-1][0] + 0.3


def test_3_underfits_is_restless_and_only_touches_the_target() -> None:
    assert mean("exp3", "train")[-1] < mean("exp3")[-1] - 0.3
    late, middle = jumps("exp3", 9, 14), jumps("exp3", 4, 9)
    assert statistics.mean(late) > 0.7 * statistics.mean(middle)
    assert any(row.test_accuracy >= 99.4 for run in runs("exp3") for row in run.rows)
    assert not any(run.held() for run in runs("exp3"))


@pytest.mark.parametrize("name", ["exp4", "exp5"])
def test_4_and_5_jump_where_the_rate_drops(name: str) -> None:
    found = rises(name)
    assert max(found[3:]) == found[6] > 0.2
    assert found[12] < found[6]


def test_4_lies_below_its_test_curve() -> None:
    assert mean("exp4", "train")[-1] < mean("exp4")[-1]


def test_3_has_little_more_than_half_of_1s_parameters_and_ends_higher() -> None:
    assert 0.5 < runs("exp3")[0].parameters / runs("exp1")[0].parameters < 0.55
    assert mean("exp3")[-1] > mean("exp1")[-1]


def test_the_reference_has_no_jump_and_holds_in_nine_runs_of_ten() -> None:
    assert max(map(abs, rises("reference")[4:])) < 0.1
    assert statistics.mean(run.held() for run in runs("reference")) >= 0.9


def test_a_claim_that_does_not_hold_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "runs", lambda name: load("exp2" if name == "exp3" else name))
    with pytest.raises(AssertionError):
        test_3_underfits_is_restless_and_only_touches_the_target()


load: Callable[[str], list[Run]] = runs
