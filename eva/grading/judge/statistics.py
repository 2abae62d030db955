"""From several trainings with secret seeds to one grade that luck does not decide.

At 99.4 % of 10,000 images the binomial standard error is 0.077 points, so one training of a
network that is worth 99.4 % is a toss of a coin. The median of three decides, or of five near the
line.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace

from eva.grading.checks.check import Asked
from eva.grading.checks.rubric import Assignment
from eva.grading.checks.verdict import Status, Verdict
from eva.grading.judge.judge import SeedResult
from eva.json_types import Json

NEAR = 0.05  # points; a median that is so close to the line asks for more seeds
EXTRA = 2
_ROUNDING = 1e-9


def seeds_wanted(results: Sequence[SeedResult], assignment: Assignment, *, base: int = 3) -> int:
    """How many seeds a submission is trained with, as far as these results tell.

    Args:
        results: In the order of their indices; those beyond ``base`` change nothing.
        assignment: Whose last check of an accuracy says where the line is.
        base: Seeds of a submission that is not near the line.
    """
    decisive = assignment.decisive
    if len(results) < base or decisive is None:
        return base
    median = statistics.median(_value(decisive, result) for result in results[:base])
    near = abs(median - decisive.target) <= NEAR + _ROUNDING
    return base + EXTRA if near else base


def decide(results: Sequence[SeedResult], assignment: Assignment) -> dict[str, Verdict]:
    """Answer the checks of training: the median seed decides each.

    A check without a number is decided by what more than half of the seeds pass.

    Args:
        results: Of all seeds that were wanted; at least one.
        assignment: That they are graded by.
    """
    return {
        name: _by_median(asked, results) if asked.check.value else _by_majority(asked, results)
        for name, asked in assignment.asked(trains=True).items()
    }


def _value(asked: Asked, result: SeedResult) -> float:
    """Of one training, in percent."""
    return asked.value(result.measured()) or 0.0


def _by_majority(asked: Asked, results: Sequence[SeedResult]) -> Verdict:
    answers = [asked.answer(result.measured()) for result in results]
    count = sum(answer.status is Status.PASSED for answer in answers)
    open_ = [answer for answer in answers if answer.status is Status.NEEDS_REVIEW]
    if open_:
        return open_[0]
    passed = 2 * count > len(answers)
    wanted = Status.PASSED if passed else Status.FAILED
    shown = next((a for a in answers if a.status is wanted), answers[0])
    message = f"{asked.title}: {count} of {len(answers)} seeds pass. One says:\n{shown.message}"
    return replace(shown, status=wanted, message=message)


def _by_median(asked: Asked, results: Sequence[SeedResult]) -> Verdict:
    values = [_value(asked, result) for result in results]
    target = asked.target
    median = statistics.median(values)
    passed = median >= target - _ROUNDING
    each = ", ".join(f"{value:.2f}" for value in values)
    side = "above" if passed else "below"
    distance = f"{abs(median - target):.2f} points {side} the line"
    if abs(median - target) <= _ROUNDING:
        distance = "exactly on the line"
    many = "1 seed" if len(values) == 1 else f"{len(values)} seeds"
    message = (
        f"{asked.title}: the median of {many} is {median:.2f} %, {distance}.\n"
        f"  {asked.check.words} by seed: {each} %; mean {statistics.fmean(values):.2f}, "
        f"minimum {min(values):.2f}."
    )
    broken = [result.problem for result in results if result.problem]
    if broken:
        verb = "counts" if len(broken) == 1 else "count"
        message += f"\n  {len(broken)} of them {verb} as 0: {broken[0]}"
    details: dict[str, Json] = {
        "seeds": list(values),
        "median": median,
        "mean": statistics.fmean(values),
        "minimum": min(values),
        "target": target,
        "note": f"median {median:.2f} %",
    }
    status = Status.PASSED if passed else Status.FAILED
    return Verdict(check=asked.id, status=status, message=message, details=details)
