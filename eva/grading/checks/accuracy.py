"""The checks that need training: what one run says about the accuracy."""

from __future__ import annotations

from eva.grading.checks.check import check
from eva.grading.checks.rubric import NetworkLimits
from eva.grading.checks.verdict import Verdict
from eva.json_types import Json
from eva.record import EpochRow, Run

_GAP = 0.3  # points between training and test accuracy from which a network counts as overfitting


@check("reaches", trains=True)
def reaches(run: Run, limits: NetworkLimits) -> Verdict:
    """Whether the test accuracy was reached in some epoch."""
    best = run.best
    assert best is not None, "a finished run has rows"
    details: dict[str, Json] = {
        "best": best.test_accuracy,
        "epoch": best.epoch,
        "target": limits.accuracy,
        "note": f"best {best.test_accuracy:.2f} %",
    }
    title = f"{limits.accuracy:g} % in some epoch"
    yours = f"{title}: your best is {best.test_accuracy:.2f} %, in epoch {best.epoch + 1}"
    if best.test_accuracy >= limits.accuracy:
        return Verdict.passed(f"{yours}.", details)
    short = _short(best, run, limits.accuracy)
    message = f"{yours}, {short}.\n{_fit(best)}"
    return Verdict.failed(message, details)


@check("holds", trains=True)
def holds(run: Run, limits: NetworkLimits) -> Verdict:
    """Whether the test accuracy was reached in each of the last epochs."""
    last = run.rows[-limits.last_epochs :]
    lowest = min(last, key=lambda row: row.test_accuracy)
    details: dict[str, Json] = {
        "last": [row.test_accuracy for row in last],
        "lowest": lowest.test_accuracy,
        "epoch": lowest.epoch,
        "target": limits.accuracy,
        "note": f"lowest {lowest.test_accuracy:.2f} %",
    }
    numbers = ", ".join(f"{row.test_accuracy:.2f}" for row in last)
    title = f"{limits.accuracy:g} % in each of the last {limits.last_epochs} epochs"
    yours = f"{title}: yours have {numbers} %"
    if run.held(limits.accuracy, limits.last_epochs):
        return Verdict.passed(f"{yours}.", details)
    if len(last) < limits.last_epochs:
        details["note"] = f"only {len(last)} epochs"
        message = f"{yours}; {limits.last_epochs} are needed, and the recipe asks for {len(last)}."
        return Verdict.failed(message, details)
    below = sum(row.test_accuracy < limits.accuracy for row in last)
    spread = max(row.test_accuracy for row in last) - lowest.test_accuracy
    message = (
        f"{yours}; {below} of them {'is' if below == 1 else 'are'} below.\n"
        f"Epoch {lowest.epoch} is lowest, {_short(lowest, run, limits.accuracy)}; "
        f"from the lowest to the highest of them it is {spread:.2f} points."
    )
    return Verdict.failed(message, details)


def _short(row: EpochRow, run: Run, target: float) -> str:
    """How far an epoch is below the target, in points and in images."""
    images = round((target - row.test_accuracy) / 100 * run.data.test_size)
    return (
        f"{target - row.test_accuracy:.2f} points short "
        f"({images:,} of {run.data.test_size:,} images)"
    )


def _fit(row: EpochRow) -> str:
    """Compare with the training accuracy, which says where to look next."""
    gap = row.train_accuracy - row.test_accuracy
    numbers = f"Training accuracy in that epoch is {row.train_accuracy:.2f} %"
    if gap > _GAP:
        return f"{numbers}, above the test accuracy: what does the network learn by heart?"
    return (
        f"{numbers}, on images as the recipe changes them: "
        "what keeps the network from learning those better?"
    )
