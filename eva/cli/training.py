"""Commands that train one network: ``eva train`` and ``eva lr-find``."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from eva.cli.options import (
    INTERRUPTED,
    CompileOption,
    DataDirOption,
    DataOption,
    DeviceOption,
    EpochsOption,
    HoldoutOption,
    JsonOption,
    SeedOption,
    SubmissionArgument,
    err,
    friendly_errors,
    load_announced,
    out,
)
from eva.errors import ForwardError, RecipeError

_SECONDS = 5.0  # that `eva lr-find` trains for at most, on networks of the course's size


def train_command(
    submission: SubmissionArgument,
    data: DataOption = "auto",
    data_dir: DataDirOption = None,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
    epochs: EpochsOption = None,
    folder: Annotated[
        Path | None, typer.Option("--out", help="Default: runs/NAME-seedN.", show_default=False)
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint.")] = False,
    holdout: HoldoutOption = None,
    bf16: Annotated[bool, typer.Option("--bf16", help="bfloat16 autocast.")] = False,
    compiled: CompileOption = "auto",
    log: Annotated[
        list[str] | None,
        typer.Option(
            "--log",
            help="tensorboard, mlflow or wandb; several by repeating it.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train a submission; write its record, curves, confusion matrix and mistakes."""
    with friendly_errors(ForwardError, RecipeError):
        from eva import plots
        from eva.grading.checks.advice import advice_on_network, advice_on_run
        from eva.record import EpochRow, counted
        from eva.submission import load_submission
        from eva.training.callbacks import ProgressBar
        from eva.training.callbacks.loggers import make_logger
        from eva.training.callbacks.progress import epoch_line
        from eva.training.machine import slow_in_bfloat16
        from eva.training.trainer import Trainer

        console = err if as_json else out

        class Lines(ProgressBar):
            def on_epoch_end(self, trainer: Trainer, row: EpochRow) -> None:
                super().on_epoch_end(trainer, row)
                console.print(epoch_line(row), markup=False, highlight=False)

        loaded = load_submission(submission)
        recipe = loaded.recipe
        if epochs is not None:
            recipe = recipe.model_copy(update={"epochs": epochs})
        wanted = folder or Path("runs") / f"{loaded.slug}-seed{seed}"
        folder = wanted if resume else _free_folder(wanted)
        if folder != wanted:
            console.print(
                f"{wanted} holds another run; this one goes to {folder}.",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
        loggers = [make_logger(name, folder) for name in dict.fromkeys(log or ())]
        model = loaded.build(seed)
        dataset = load_announced(data, data_dir)
        if holdout is not None:
            dataset = dataset.holdout(holdout)
        trainer = Trainer(
            model,
            recipe,
            dataset,
            device=device,
            seed=seed,
            out=folder,
            name=submission,
            bf16=bf16,
            compiled=compiled,
            callbacks=[Lines(lines=False), *loggers],
        )
        console.print(repr(model), markup=False, highlight=False, soft_wrap=True)
        console.print(
            f"\n{trainer.run.parameters:,} parameters. {dataset.name} on {trainer.run.device.name} "
            f"({trainer.device}), {counted(recipe.epochs, 'epoch')} of "
            f"{counted(trainer.steps_per_epoch, 'step')}.\n{trainer.run.path}\n",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        if bf16 and slow_in_bfloat16(trainer.device):
            console.print(
                "This processor has no bfloat16 units: without --bf16 the training is faster.\n",
                highlight=False,
            )
        try:
            run = trainer.fit(resume=resume)
        except KeyboardInterrupt:
            done = len(trainer.run.rows)
            err.print(
                f"\nInterrupted after {counted(done, 'whole epoch')}, saved in {folder}. "
                "Go on with the same command and --resume.",
                highlight=False,
            )
            raise typer.Exit(INTERRUPTED) from None
        files = [folder / "record.json", *plots.save_training_plots(run, model, dataset, folder)]
        if as_json:
            sys.stdout.write(run.to_json())
            return
        out.print()
        for change in run.changes:
            out.print(
                f"From epoch {change.epoch + 1} on, {change.what} changed from {change.before} to "
                f"{change.after}.",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
        for file in files:
            out.print(f"  {file}", markup=False, highlight=False, soft_wrap=True)
        for advice in (
            *advice_on_network(loaded.build(seed), recipe, dataset.images),
            *advice_on_run(run),
        ):
            out.print(f"\n{advice}", style="cyan", markup=False, highlight=False)
        out.print(f"\n{run.verdict()}", highlight=False)


def lr_find_command(
    submission: SubmissionArgument,
    data: DataOption = "auto",
    data_dir: DataDirOption = None,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Raise the learning rate step by step and suggest one."""
    with friendly_errors(ForwardError, RecipeError):
        from eva import plots
        from eva.submission import load_submission
        from eva.training import lr_finder

        loaded = load_submission(submission)
        dataset = load_announced(data, data_dir)
        finding = lr_finder.lr_find(
            loaded.build(seed),
            loaded.recipe,
            dataset,
            device=device,
            seed=seed,
            seconds=_SECONDS,
        )
        if as_json:
            value = {
                "lrs": finding.lrs,
                "losses": finding.losses,
                "suggestion": finding.suggestion,
                "safe": finding.safe,
            }
            sys.stdout.write(json.dumps(value) + "\n")
            return
        title, path = (
            f"{loaded.slug} on {dataset.name}",
            Path("runs") / f"{loaded.slug}-lr-find.png",
        )
        try:
            picture = str(plots.save_lr_finding(finding, title, path))
        except plots.PlotError as error:  # the numbers are worth more than their picture
            picture = str(error)
        out.print(
            f"The loss falls fastest at a learning rate of {finding.suggestion:.2g}, and is lowest "
            f"at {10 * finding.safe:.2g}. A tenth of that is safe. Copy this line into the recipe:"
            f"\n\n    {finding.recipe_line(loaded.recipe)}\n\n  {picture}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


def _free_folder(folder: Path) -> Path:
    """The folder itself, or the next name that is free where another run ended in it.

    Raises:
        typer.BadParameter: The run there could be resumed.
    """
    from eva.record import Run, counted

    for number in itertools.count(1):
        free = folder if number == 1 else folder.with_name(f"{folder.name}-{number}")
        if not (free / "record.json").exists():
            break
        run = Run.load(free / "record.json")
        if run.status in ("running", "interrupted"):
            raise typer.BadParameter(
                f"{free} holds an unfinished run ({len(run.rows)} of "
                f"{counted(run.recipe.epochs, 'epoch')}). "
                "Go on with --resume, or choose another folder with --out."
            )
    return free
