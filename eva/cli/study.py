"""``eva study``: many seeds of one submission from the command line."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from eva.cli.options import (
    INTERRUPTED,
    CompileOption,
    DataDirOption,
    DataOption,
    DeviceOption,
    EpochsOption,
    HoldoutOption,
    JsonOption,
    SubmissionArgument,
    err,
    friendly_errors,
    load_announced,
    out,
)
from eva.errors import ForwardError, RecipeError

if TYPE_CHECKING:
    from eva.record import Run
    from eva.studies import Study

RAY = "On a Ray cluster"


def study_command(
    submission: SubmissionArgument,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Trains 0, 1, ... N-1.")] = 10,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            min=1,
            help="Trainings at once, a thread each. Default: as cores and memory allow.",
            show_default=False,
        ),
    ] = None,
    data: DataOption = "auto",
    data_dir: DataDirOption = None,
    device: DeviceOption = "auto",
    epochs: EpochsOption = None,
    holdout: HoldoutOption = None,
    compiled: CompileOption = "auto",
    folder: Annotated[
        Path | None, typer.Option("--out", help="Default: runs/NAME-study.", show_default=False)
    ] = None,
    engine: Annotated[
        str, typer.Option("--engine", help="local or ray.", rich_help_panel=RAY)
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option("--address", help="Where the cluster is, or auto.", rich_help_panel=RAY),
    ] = None,
    gpus: Annotated[
        float,
        typer.Option("--gpus", min=0, help="Share of a GPU for a training.", rich_help_panel=RAY),
    ] = 0.0,
    as_json: JsonOption = False,
) -> None:
    """Train many seeds; write a record of each and say what share holds 99.40 %.

    Killed and started again with the same command, it goes on where it was.
    """
    with friendly_errors(ForwardError, RecipeError):
        from eva.jobs import EngineName
        from eva.studies import run_study

        if engine not in list(EngineName):
            raise typer.BadParameter(f"known: {', '.join(EngineName)}", param_hint="--engine")
        found = load_announced(data, data_dir).name
        progress = _Progress(seeds)
        try:
            study = run_study(
                submission,
                seeds=seeds,
                out=folder,
                jobs=jobs,
                data=found,
                data_dir=data_dir,
                holdout=holdout,
                epochs=epochs,
                device=device,
                compiled=compiled,
                engine=engine,
                address=address,
                gpus=gpus,
                show=progress,
            )
        except KeyboardInterrupt:
            err.print("\nInterrupted; all records are kept: the same command goes on.")
            raise typer.Exit(INTERRUPTED) from None
        if as_json:
            sys.stdout.write(study.to_json())
            return
        out.print(_table(study))
        for line in _sentences(study):
            out.print(line, highlight=False, markup=False)


class _Progress:
    """A line a seed, with the time that is left at the pace so far."""

    def __init__(self, seeds: int) -> None:
        self._seeds = seeds
        self._done = 0
        self._started = time.monotonic()

    def __call__(self, run: Run, study: Study) -> None:
        self._done += 1
        left = self._seeds - study.seeds
        minutes = left * (time.monotonic() - self._started) / self._done / 60
        row = next((row for row in study.rows if row.seed == run.seed), None)
        what = "diverged" if row is None else f"{row.final:.2f} %, late {row.late:.2f} %"
        err.print(
            f"[{study.seeds}/{self._seeds}] seed {run.seed}: {what}; held by {study.held} so far"
            + (f", {minutes:.0f} min left" if left else ""),
            markup=False,
            highlight=False,
        )


def _table(study: Study) -> Table:
    table = Table()
    for name in ("seed", "best %", "final %", f"lowest of last {study.last} %", "held", "s"):
        table.add_column(name, justify="right")
    for row in study.rows:
        table.add_row(
            str(row.seed),
            f"{row.best:.2f}",
            f"{row.final:.2f}",
            f"{row.late:.2f}",
            "yes" if row.held else "no",
            f"{row.seconds:.0f}",
        )
    for seed in study.diverged:
        table.add_row(str(seed), "", "", "", "diverged", "")
    return table


def _sentences(study: Study) -> list[str]:
    from eva.record import counted

    low, high = study.interval
    lines = [
        f"{study.submission}: {counted(study.parameters, 'parameter')}, "
        f"{counted(study.epochs, 'epoch')} of {study.data}.",
        f"{study.held} of {study.seeds} seeds held {study.target:.2f} % over the last {study.last} "
        f"epochs; 95 % interval of the share: {low:.0%} to {high:.0%}.",
    ]
    for name, spread in (("final", study.final), (f"lowest of last {study.last}", study.late)):
        if spread is not None:
            deviation = spread.standard_deviation
            more = "" if deviation is None else f", standard deviation {deviation:.3f}"
            lines.append(f"{name}: mean {spread.mean:.3f} %{more}, minimum {spread.minimum:.2f} %.")
    return lines
