"""Seeds: drawn from a secret, as many as the line asks for, and the median decides."""

from fractions import Fraction
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eva.grading.checks.rubric import load_assignment
from eva.grading.checks.verdict import Status
from eva.grading.judge.judge import SeedResult, secret_seed
from eva.grading.judge.statistics import decide, seeds_wanted

LIMITS = load_assignment("mnist_8k")
SECRET = b"sixteen bytes or more"


def run(index: int, *last: float, first: tuple[float, ...] = (98.0, 99.0)) -> SeedResult:
    return SeedResult(index=index, accuracies=(*first, *last), seconds=1.0, parameters=7000)


def flat(*worst: float) -> list[SeedResult]:
    return [run(i, value, 99.9, 99.9, 99.9) for i, value in enumerate(worst)]


def test_seed_repeats_and_everything_it_is_made_from_changes_it() -> None:
    seed = secret_seed(SECRET, "ab", "mnist_8k", 0)
    assert seed == secret_seed(SECRET, "ab", "mnist_8k", 0)
    others = {
        secret_seed(SECRET + b"!", "ab", "mnist_8k", 0),
        secret_seed(SECRET, "abm", "nist_8k", 0),
        secret_seed(SECRET, "ac", "mnist_8k", 0),
        secret_seed(SECRET, "ab", "mnist_8k", 1),
        seed,
    }
    assert len(others) == 5
    assert all(0 <= number < 2**63 for number in others)


@pytest.mark.parametrize(
    ("worst", "wanted"),
    [
        ([], 3),
        ([99.9, 99.9], 3),
        ([99.1, 99.6, 99.6], 3),
        ([99.40, 99.1, 99.9], 5),
        ([99.35, 99.1, 99.9], 5),
        ([99.45, 99.1, 99.9], 5),
        ([99.34, 99.1, 99.9], 3),
        ([99.46, 99.1, 99.9], 3),
        ([99.40, 99.1, 99.9, 90.0, 90.0], 5),  # never more than five, whatever they say
    ],
)
def test_two_more_seeds_where_the_median_is_within_five_hundredths_of_the_line(
    worst: list[float], wanted: int
) -> None:
    assert seeds_wanted(flat(*worst), LIMITS) == wanted


def test_the_median_seed_decides_not_the_best_and_not_the_worst() -> None:
    for order in permutations([99.3, 99.41, 99.5]):
        assert decide(flat(*order), LIMITS)["holds"].status is Status.PASSED
    for order in permutations([99.3, 99.39, 99.9]):
        assert decide(flat(*order), LIMITS)["holds"].status is Status.FAILED


def test_exactly_on_the_line_passes_and_a_hundredth_below_fails() -> None:
    assert decide(flat(99.4, 99.4, 99.4), LIMITS)["holds"].status is Status.PASSED
    assert decide(flat(99.39, 99.39, 99.39), LIMITS)["holds"].status is Status.FAILED


def test_the_last_epochs_count_and_not_the_best_ones() -> None:
    good_then_bad = [run(i, 99.6, 99.6, 99.6, 99.3, first=(99.6,) * 11) for i in range(3)]
    verdicts = decide(good_then_bad, LIMITS)
    assert verdicts["reaches"].status is Status.PASSED
    assert verdicts["holds"].status is Status.FAILED


def test_fewer_epochs_than_must_hold_and_a_training_that_broke_off_hold_nothing() -> None:
    short = [run(i, 99.9, 99.9, 99.9, first=()) for i in range(3)]
    assert decide(short, LIMITS)["holds"].status is Status.FAILED
    broken = SeedResult(index=1, accuracies=(), seconds=1.0, parameters=1, problem="loss is NaN")
    verdicts = decide([run(0, 99.9, 99.9, 99.9, 99.9), broken, broken], LIMITS)
    assert {v.status for v in verdicts.values()} == {Status.FAILED}
    assert "2 of them count as 0: loss is NaN" in verdicts["holds"].message


def test_message_gives_every_seed_the_mean_the_minimum_and_how_close_it_was() -> None:
    verdict = decide(flat(99.36, 99.43, 99.50), LIMITS)["holds"]
    for words in ("99.36, 99.43, 99.50", "mean 99.43", "minimum 99.36", "0.03 points above"):
        assert words in verdict.message
    assert verdict.details["seeds"] == [99.36, 99.43, 99.50]


@given(st.lists(st.integers(9900, 9999), min_size=5, max_size=5))
def test_decision_agrees_with_counting_seeds_in_exact_arithmetic(worst: list[int]) -> None:
    results = flat(*(value / 100 for value in worst))
    enough = sum(Fraction(value, 100) >= Fraction(994, 10) for value in worst) >= 3
    status = decide(results, LIMITS)["holds"].status
    assert status is (Status.PASSED if enough else Status.FAILED)


def test_result_survives_json() -> None:
    result = run(2, 99.1, 99.2)
    assert SeedResult.from_json(result.to_json()) == result
