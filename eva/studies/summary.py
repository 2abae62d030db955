"""From the records of several seeds to what can be said of the recipe."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from eva.json_types import FrozenModel
from eva.record import LAST_EPOCHS, TARGET, Run

STUDY_SCHEMA = 1
Z = 1.959963984540054  # of the normal distribution, for a confidence of 95 %


class Spread(FrozenModel):
    """Of a number over seeds; ``standard_deviation`` is the sample's, None for one seed."""

    mean: float
    standard_deviation: float | None
    minimum: float
    maximum: float


class SeedRow(FrozenModel):
    """One seed, in percent of the test images.

    Attributes:
        seed: See :attr:`eva.Run.seed`.
        best: Highest of all epochs, which is what single runs are usually quoted with.
        final: Accuracy in the last epoch.
        late: Lowest of the last epochs.
        held: Whether ``late`` reaches the target.
        seconds: Wall time of the training.
    """

    seed: int
    best: float
    final: float
    late: float
    held: bool
    seconds: float


class Study(FrozenModel):
    """Summary of a study.

    Attributes:
        submission: As in its records, as are the next three.
        parameters: Parameters of the model.
        epochs: Epochs of the recipe.
        data: Name of the data set.
        target: In percent.
        last: Epochs that have to reach it.
        diverged: Seeds whose loss was not finite; they did not hold, and are in no mean.
        best: Over seeds, as are the next two; None where all diverged.
        final: See :class:`SeedRow`.
        late: See :class:`SeedRow`.
        held: Seeds that held the target.
        share: ``held`` over all seeds.
        interval: Wilson's, of the share, at 95 %.
        devices: Where the seeds were trained.
        versions: Versions of what a result may depend on; several where records differ.
        rows: One for each seed that did not diverge.
    """

    schema_version: int = STUDY_SCHEMA
    submission: str
    parameters: int
    epochs: int
    data: str
    target: float
    last: int
    diverged: tuple[int, ...]
    best: Spread | None
    final: Spread | None
    late: Spread | None
    held: int
    share: float
    interval: tuple[float, float]
    devices: tuple[str, ...]
    versions: dict[str, tuple[str, ...]]
    rows: tuple[SeedRow, ...]

    @property
    def seeds(self) -> int:
        """How many were trained."""
        return len(self.rows) + len(self.diverged)

    def to_json(self) -> str:
        """JSON text."""
        return self.model_dump_json(indent=1) + "\n"


def summarize(runs: Sequence[Run], *, target: float = TARGET, last: int = LAST_EPOCHS) -> Study:
    """Summarize records of one recipe.

    Args:
        runs: Records of different seeds, at least one.
        target: Accuracy in percent.
        last: Epochs at the end that have to reach it.
    """
    rows = [_row(run, target, last) for run in runs if run.status == "finished"]
    held = sum(row.held for row in rows)
    names = sorted({name for run in runs for name in run.versions})
    return Study(
        submission=runs[0].submission,
        parameters=runs[0].parameters,
        epochs=runs[0].recipe.epochs,
        data=runs[0].data.name,
        target=target,
        last=last,
        diverged=tuple(run.seed for run in runs if run.status == "diverged"),
        best=_spread([row.best for row in rows]),
        final=_spread([row.final for row in rows]),
        late=_spread([row.late for row in rows]),
        held=held,
        share=held / len(runs),
        interval=wilson(held, len(runs)),
        devices=tuple(sorted({f"{run.device.name} ({run.device.type})" for run in runs})),
        versions={
            name: tuple(sorted({run.versions[name] for run in runs if name in run.versions}))
            for name in names
        },
        rows=tuple(rows),
    )


def wilson(successes: int, trials: int, z: float = Z) -> tuple[float, float]:
    """Interval of a probability, of which ``successes`` in ``trials`` were seen.

    Unlike the mean plus or minus some standard errors it stays within 0 and 1, and says something
    where all trials succeeded.

    References:
        Wilson: Probable inference, the law of succession, and statistical inference, 1927.

    Example:
        >>> "{:.3f} {:.3f}".format(*wilson(10, 10))
        '0.722 1.000'
    """
    share = successes / trials
    center = share + z * z / (2 * trials)
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    low = (center - half) / scale if successes else 0.0  # exact where rounding is not
    high = (center + half) / scale if successes < trials else 1.0
    return low, high


def _row(run: Run, target: float, last: int) -> SeedRow:
    accuracies = [row.test_accuracy for row in run.rows]
    return SeedRow(
        seed=run.seed,
        best=max(accuracies),
        final=accuracies[-1],
        late=min(accuracies[-last:]),
        held=run.held(target, last),
        seconds=run.seconds,
    )


def _spread(values: Sequence[float]) -> Spread | None:
    if not values:
        return None
    return Spread(
        mean=statistics.fmean(values),
        standard_deviation=statistics.stdev(values) if len(values) > 1 else None,
        minimum=min(values),
        maximum=max(values),
    )
