"""Seeds: drawn from a secret, as many as the line asks for, and the median decides."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import permutations

import pytest
from hypothesis import given, settings
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


def test_what_a_trained_network_shows_against_the_checks_goes_to_a_person() -> None:
    runs = flat(99.6, 99.6, 99.6)
    assert decide(runs, LIMITS)["holds"].status is Status.PASSED
    runs[1] = replace(runs[1], doubt="with the trained weights, something else is seen")
    found = decide(runs, LIMITS)
    assert {verdict.status for verdict in found.values()} == {Status.NEEDS_REVIEW}
    assert "A person must look: with the trained weights" in found["holds"].message
    assert SeedResult.from_json(runs[1].to_json()) == runs[1]


@pytest.mark.parametrize(
    ("worst", "wanted"),
    [
        ([], 2),
        ([99.9], 2),
        ([99.9, 99.9], 2),
        ([99.1, 99.1], 2),
        ([99.1, 99.6], 3),
        ([99.1, 99.6, 99.6], 3),
        ([99.9, 99.42], 3),  # the median can be near the line
        ([99.42, 99.42, 99.9], 3),  # it is, and three agree
        ([99.40, 99.1, 99.9], 4),
        ([99.35, 99.1, 99.9], 4),
        ([99.45, 99.1, 99.9], 4),
        ([99.34, 99.1, 99.9], 3),
        ([99.46, 99.1, 99.9], 3),
        ([99.40, 99.1, 99.9, 99.9], 4),
        ([99.40, 99.1, 99.9, 90.0], 5),
        ([99.40, 99.1, 99.9, 90.0, 90.0], 5),  # never more than five, whatever they say
    ],
)
def test_no_more_seeds_than_can_change_the_grade(worst: list[float], wanted: int) -> None:
    assert seeds_wanted(flat(*worst), LIMITS) == wanted


def graded(results: Sequence[SeedResult]) -> dict[str, Status]:
    return {name: verdict.status for name, verdict in decide(results, LIMITS).items()}


def compare_with_all(seeds: Sequence[SeedResult]) -> None:
    """The grade of the seeds that are trained is the grade of all that the rule names."""
    lowest = sorted(result.accuracies[-1] for result in seeds[:3])
    total = 5 if abs(lowest[1] - 99.4) < 0.05 + 1e-6 else 3
    count = 0
    while (wanted := seeds_wanted(seeds[:count], LIMITS)) > count:
        count = wanted
    assert count <= total
    assert graded(seeds[:count]) == graded(seeds[:total])


def made_up(low: int, more: int) -> SeedResult:
    return run(0, *[low / 100] * 4, first=((low + more) / 100,))


@given(st.lists(st.tuples(st.integers(9925, 9955), st.integers(0, 20)), min_size=5, max_size=5))
@settings(deadline=None, max_examples=200)
def test_stopping_gives_the_grade_of_all_seeds(drawn: list[tuple[int, int]]) -> None:
    compare_with_all([made_up(*each) for each in drawn])


@pytest.mark.parametrize("lows", [(9930, 9938, 9940, 9943, 9950), (9939, 9939, 9940, 9940, 9941)])
def test_stopping_gives_the_grade_of_all_seeds_in_every_order(lows: tuple[int, ...]) -> None:
    for order in permutations(made_up(low, 3) for low in lows):
        compare_with_all(order)


def test_the_report_says_how_many_seeds_ran_and_why() -> None:
    two = decide(flat(99.6, 99.7), LIMITS)["holds"]
    assert "2 of 3 seeds were trained: no other one could change the grade." in two.message
    assert "were trained" not in decide(flat(99.6, 99.2, 99.7), LIMITS)["holds"].message


def test_without_an_odd_number_of_seeds_all_are_trained() -> None:
    assert seeds_wanted([], LIMITS, base=1) == 1
    assert seeds_wanted(flat(99.9), LIMITS, base=2) == 2


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
