"""From several trainings with secret seeds to one grade that luck does not decide.

At 99.4 % of 10,000 images the binomial standard error is 0.077 points, so one training of a
network that is worth 99.4 % is a toss of a coin. The median of three decides, or of five near the
line. Two of three, or three of five, that agree have decided it.
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
from eva.record import counted

NEAR = 0.05  # points; a median that is so close to the line asks for more seeds
EXTRA = 2
_ROUNDING = 1e-9


def seeds_wanted(results: Sequence[SeedResult], assignment: Assignment, *, base: int = 3) -> int:
    """How many seeds decide the grade, as far as these results tell.

    A median of three is decided by two that agree, one of five by three. A seed that can't change
    the grade any more is not trained.

    Args:
        results: In the order of their indices.
        assignment: That they are graded by. Its last check of an accuracy says where the line is.
        base: Seeds of a submission that is not near the line.

    Returns:
        As many as there are results, where nothing can change the grade.
    """
    checks = assignment.asked(trains=True).values()
    for total in _totals(results, assignment, base):
        needed = max((_needed(asked, results, total) for asked in checks), default=0)
        if needed > len(results):
            return needed
    return len(results)


def decide(
    results: Sequence[SeedResult], assignment: Assignment, *, base: int = 3
) -> dict[str, Verdict]:
    """Answer the checks of training: the median seed decides each, or a person does.

    A check without a number is decided by what more than half of the seeds pass.

    Args:
        results: Of all seeds that were wanted; at least one.
        assignment: That they are graded by.
        base: As of :func:`seeds_wanted`.
    """
    planned = max(_totals(results, assignment, base))
    doubts = [result.doubt for result in results if result.doubt]
    found = {
        name: _by_median(asked, results, planned)
        if asked.check.value
        else _by_majority(asked, results)
        for name, asked in assignment.asked(trains=True).items()
    }
    return {name: _in_doubt(v, doubts[0]) for name, v in found.items()} if doubts else found


def _in_doubt(verdict: Verdict, doubt: str) -> Verdict:
    message = f"{verdict.message}\n  A person must look: {doubt}."
    return replace(verdict, status=Status.NEEDS_REVIEW, message=message)


def _totals(results: Sequence[SeedResult], assignment: Assignment, base: int) -> tuple[int, ...]:
    """Numbers of seeds that the grade may take: more, where the median can be near the line."""
    decisive = assignment.decisive
    if decisive is None:
        return (base,)
    values = [_value(decisive, result) for result in results[:base]]
    open_ = base - len(values)
    lowest = statistics.median([*values, *[0.0] * open_])
    highest = statistics.median([*values, *[100.0] * open_])
    far = NEAR + _ROUNDING
    if lowest > decisive.target + far or highest < decisive.target - far:
        return (base,)
    return (base, base + EXTRA) if open_ else (base + EXTRA,)


def _needed(asked: Asked, results: Sequence[SeedResult], total: int) -> int:
    """Seeds after which the median of ``total`` can be decided: those that agree and some more."""
    if asked.check.value is None or total % 2 == 0:
        return total
    passed = [_passes(_value(asked, result), asked.target) for result in results[:total]]
    agree = max(passed.count(True), passed.count(False))
    return len(passed) + max(0, total // 2 + 1 - agree)


def _passes(value: float, target: float) -> bool:
    return value >= target - _ROUNDING


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


def _by_median(asked: Asked, results: Sequence[SeedResult], planned: int) -> Verdict:
    values = [_value(asked, result) for result in results]
    target = asked.target
    median = statistics.median(values)
    passed = _passes(median, target)
    each = ", ".join(f"{value:.2f}" for value in values)
    side = "above" if passed else "below"
    distance = f"{abs(median - target):.2f} points {side} the line"
    if abs(median - target) <= _ROUNDING:
        distance = "exactly on the line"
    many = counted(len(values), "seed")
    message = (
        f"{asked.title}: the median of {many} is {median:.2f} %, {distance}.\n"
        f"  {asked.check.words} by seed: {each} %; mean {statistics.fmean(values):.2f}, "
        f"minimum {min(values):.2f}."
    )
    if len(results) < planned:
        few = f"{len(results)} of {planned} seeds were trained"
        message += f"\n  {few}: no other one could change the grade."
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
