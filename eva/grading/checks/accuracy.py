"""The checks that need training: what one run says about the accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from eva.grading.checks.check import check
from eva.grading.checks.verdict import Verdict
from eva.json_types import Json
from eva.record import Run, counted

_GAP = 0.3  # points between training and test accuracy from which a network counts as overfitting

Percent = Annotated[float, Field(gt=0, le=100)]
Epochs = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a training measured, at home or in an official grading.

    Attributes:
        accuracies: On the test images, in percent, one an epoch; empty where training broke off.
        train_accuracies: On the training images as the recipe changes them, likewise; empty where
            they were not kept.
        parameters: Numbers that the model stores.
        test_size: Images of the test.
    """

    accuracies: tuple[float, ...]
    train_accuracies: tuple[float, ...] = ()
    parameters: int = 0
    test_size: int = 10_000

    @classmethod
    def of_run(cls, run: Run) -> Measured:
        """Of a record."""
        return cls(
            accuracies=tuple(row.test_accuracy for row in run.rows),
            train_accuracies=tuple(row.train_accuracy for row in run.rows),
            parameters=run.parameters,
            test_size=run.data.test_size,
        )


def best_accuracy(run: Measured, *, accuracy: float, by_epoch: int | None = None) -> float:
    """The best of the epochs that count, in percent; 0 without any."""
    return max(run.accuracies[:by_epoch], default=0.0)


def lowest_accuracy(run: Measured, *, accuracy: float, last_epochs: int) -> float:
    """The lowest of the last epochs, in percent; 0 where there are too few of them."""
    last = run.accuracies[-last_epochs:]
    return min(last) if len(last) == last_epochs else 0.0


@check("reaches", trains=True, value=best_accuracy, words="best")
def reaches(run: Measured, *, accuracy: Percent, by_epoch: Epochs | None = None) -> Verdict:
    """Whether the test accuracy was reached in some epoch, or in one of the first ``by_epoch``."""
    counting = run.accuracies[:by_epoch]
    title = f"{accuracy:g} % {_where(by_epoch)}"
    if not counting:
        return Verdict.failed(f"{title}: no epoch was trained.")
    best = best_accuracy(run, accuracy=accuracy, by_epoch=by_epoch)
    epoch = counting.index(best)
    details: dict[str, Json] = {
        "best": best,
        "epoch": epoch,
        "target": accuracy,
        "note": f"best {best:.2f} %",
    }
    yours = f"{title}: your best is {best:.2f} %, in epoch {epoch + 1}"
    if by_epoch == 1:
        yours = f"{title}: yours has {best:.2f} %"
    if best >= accuracy:
        return Verdict.passed(f"{yours}.", details)
    fit = _fit(run, epoch)
    return Verdict.failed(f"{yours}, {_short(best, run, accuracy)}.{fit}", details)


def _where(by_epoch: int | None) -> str:
    if by_epoch is None:
        return "in some epoch"
    return "after one epoch" if by_epoch == 1 else f"in one of the first {by_epoch} epochs"


@check("holds", trains=True, value=lowest_accuracy, words="lowest")
def holds(run: Measured, *, accuracy: Percent, last_epochs: Epochs) -> Verdict:
    """Whether the test accuracy was reached in each of the last epochs."""
    last = run.accuracies[-last_epochs:]
    title = f"{accuracy:g} % in each of the last {last_epochs} epochs"
    if not last:
        return Verdict.failed(f"{title}: no epoch was trained.")
    lowest = min(last)
    epoch = len(run.accuracies) - len(last) + last.index(lowest)
    details: dict[str, Json] = {
        "last": list(last),
        "lowest": lowest,
        "epoch": epoch,
        "target": accuracy,
        "note": f"lowest {lowest:.2f} %",
    }
    numbers = ", ".join(f"{value:.2f}" for value in last)
    yours = f"{title}: yours have {numbers} %"
    if len(last) < last_epochs:
        details["note"] = f"only {counted(len(last), 'epoch')}"
        message = f"{yours}; {last_epochs} are needed, and the recipe asks for {len(last)}."
        return Verdict.failed(message, details)
    if lowest >= accuracy:
        return Verdict.passed(f"{yours}.", details)
    below = sum(value < accuracy for value in last)
    message = (
        f"{yours}; {below} of them {'is' if below == 1 else 'are'} below.\n"
        f"Epoch {epoch + 1} is lowest, {_short(lowest, run, accuracy)}; "
        f"from the lowest to the highest of them it is {max(last) - lowest:.2f} points."
    )
    return Verdict.failed(message, details)


def _short(value: float, run: Measured, target: float) -> str:
    """How far an epoch is below the target, in points and in images."""
    images = round((target - value) / 100 * run.test_size)
    return f"{target - value:.2f} points short ({images:,} of {run.test_size:,} images)"


def _fit(run: Measured, epoch: int) -> str:
    """Compare with the training accuracy, which says where to look next."""
    if epoch >= len(run.train_accuracies):
        return ""
    trained = run.train_accuracies[epoch]
    numbers = f"\nTraining accuracy in that epoch is {trained:.2f} %"
    if trained - run.accuracies[epoch] > _GAP:
        return f"{numbers}, above the test accuracy: what does the network learn by heart?"
    return (
        f"{numbers}, on images as the recipe changes them: "
        "what keeps the network from learning those better?"
    )
