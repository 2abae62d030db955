"""From several trainings with secret seeds to one grade that luck does not decide.

At 99.4 % of 10,000 images the binomial standard error is 0.077 points, so one training of a
network that is worth 99.4 % is a toss of a coin. The median of three decides, or of five near the
line.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from eva.grading.checks.rubric import NetworkLimits
from eva.grading.checks.verdict import Status, Verdict
from eva.grading.judge.judge import SeedResult
from eva.json_types import Json

NEAR = 0.05  # points; a median that is so close to the line asks for more seeds
EXTRA = 2
_ROUNDING = 1e-9


def seeds_wanted(results: Sequence[SeedResult], limits: NetworkLimits, *, base: int = 3) -> int:
    """How many seeds a submission is trained with, as far as these results tell.

    Args:
        results: In the order of their indices; those beyond ``base`` change nothing.
        limits: Of the assignment.
        base: Seeds of a submission that is not near the line.
    """
    if len(results) < base:
        return base
    median = statistics.median(_lowest(result, limits) for result in results[:base])
    near = abs(median - limits.accuracy) <= NEAR + _ROUNDING
    return base + EXTRA if near else base


def decide(results: Sequence[SeedResult], limits: NetworkLimits) -> dict[str, Verdict]:
    """Answer the last two checks: the median seed decides each.

    Args:
        results: Of all seeds that were wanted; at least one.
        limits: Of the assignment.
    """
    best = [max(result.accuracies, default=0.0) for result in results]
    lowest = [_lowest(result, limits) for result in results]
    target, last = limits.accuracy, limits.last_epochs
    return {
        "reaches": _verdict(
            "reaches", f"{target:g} % in some epoch", "best", best, results, target
        ),
        "holds": _verdict(
            "holds",
            f"{target:g} % in each of the last {last} epochs",
            "lowest of them",
            lowest,
            results,
            target,
        ),
    }


def _lowest(result: SeedResult, limits: NetworkLimits) -> float:
    """Worst of the last epochs, in percent; 0 where there are too few of them."""
    last = result.accuracies[-limits.last_epochs :]
    return min(last) if len(last) == limits.last_epochs else 0.0


def _verdict(
    check: str,
    title: str,
    what: str,
    values: list[float],
    results: Sequence[SeedResult],
    target: float,
) -> Verdict:
    median = statistics.median(values)
    passed = median >= target - _ROUNDING
    each = ", ".join(f"{value:.2f}" for value in values)
    side = "above" if passed else "below"
    distance = f"{abs(median - target):.2f} points {side} the line"
    if abs(median - target) <= _ROUNDING:
        distance = "exactly on the line"
    many = "1 seed" if len(values) == 1 else f"{len(values)} seeds"
    message = (
        f"{title}: the median of {many} is {median:.2f} %, {distance}.\n"
        f"  {what} by seed: {each} %; mean {statistics.fmean(values):.2f}, "
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
    return Verdict(check=check, status=status, message=message, details=details)
