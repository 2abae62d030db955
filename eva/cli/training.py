"""Commands that train one network: ``eva train`` and ``eva lr-find``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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

if TYPE_CHECKING:
    from eva.record import Run


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
    compiled: CompileOption = False,
    as_json: JsonOption = False,
) -> None:
    """Train a submission; write its record, curves, confusion matrix and mistakes."""
    with friendly_errors():
        from eva import plots
        from eva.submission import load_submission
        from eva.training.callbacks import Callback
        from eva.training.trainer import Trainer

        console = err if as_json else out
        loaded = load_submission(submission)
        recipe = loaded.recipe
        if epochs is not None:
            recipe = recipe.model_copy(update={"epochs": epochs})
        folder = folder or Path("runs") / f"{loaded.slug}-seed{seed}"
        _require_no_unfinished_run(folder, resume)
        model = loaded.build(seed)
        dataset = load_announced(data, data_dir)
        if holdout is not None:
            dataset = dataset.holdout(holdout)

        class Progress(Callback):
            def on_epoch_end(self, trainer: Trainer, row: object) -> None:
                console.print(_epoch_line(trainer.run), markup=False, highlight=False)

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
            callbacks=[Progress()],
        )
        console.print(repr(model), markup=False, highlight=False, soft_wrap=True)
        console.print(
            f"\n{trainer.run.parameters:,} parameters. {dataset.name} on {trainer.run.device.name} "
            f"({trainer.device}), {recipe.epochs} epochs of {trainer.steps_per_epoch} steps.\n",
            highlight=False,
        )
        try:
            run = trainer.fit(resume=resume)
        except KeyboardInterrupt:
            done = len(trainer.run.rows)
            err.print(
                f"\nInterrupted after {done} whole epochs, saved in {folder}. "
                "Go on with the same command and --resume.",
                highlight=False,
            )
            raise typer.Exit(INTERRUPTED) from None
        files = [folder / "record.json", *plots.save_training_plots(run, model, dataset, folder)]
        if as_json:
            sys.stdout.write(run.to_json())
            return
        out.print(f"\n{_verdict(run)}\n", highlight=False)
        for file in files:
            out.print(f"  {file}", markup=False, highlight=False, soft_wrap=True)


def lr_find_command(
    submission: SubmissionArgument,
    data: DataOption = "auto",
    data_dir: DataDirOption = None,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Raise the learning rate step by step and suggest one."""
    with friendly_errors():
        from eva.submission import load_submission
        from eva.training import lr_finder

        loaded = load_submission(submission)
        dataset = load_announced(data, data_dir)
        finding = lr_finder.lr_find(
            loaded.build(seed), loaded.recipe, dataset, device=device, seed=seed
        )
        if as_json:
            value = {"lrs": finding.lrs, "losses": finding.losses, "suggestion": finding.suggestion}
            sys.stdout.write(json.dumps(value) + "\n")
            return
        for lr, loss in list(zip(finding.lrs, finding.losses, strict=True))[::10]:
            out.print(f"lr {lr:.5f}  loss {loss:.3f}", highlight=False)
        out.print(f"The loss falls fastest at a learning rate of {finding.suggestion:.2g}.")


def _require_no_unfinished_run(folder: Path, resume: bool) -> None:
    """Refuse to write over a run that could be resumed."""
    from eva.record import Run

    record = folder / "record.json"
    if resume or not record.exists():
        return
    run = Run.load(record)
    if run.status in ("running", "interrupted"):
        raise typer.BadParameter(
            f"{folder} holds an unfinished run ({len(run.rows)} of {run.recipe.epochs} epochs). "
            "Go on with --resume, or choose another folder with --out."
        )


def _epoch_line(run: Run) -> str:
    row = run.rows[-1]
    return (
        f"epoch {row.epoch:2d}  lr {row.lr:<8.3g} train {row.train_accuracy:6.2f} % "
        f"({row.train_loss:.4f})  test {row.test_accuracy:6.2f} % ({row.test_loss:.4f})  "
        f"{row.seconds_train + row.seconds_test:5.1f} s"
    )


def _verdict(run: Run) -> str:
    """One sentence on whether the run earned the target, or why that can't be said."""
    best = run.best
    if best is None:
        return "No epoch was trained."
    if run.data.name != "mnist":
        return f"Best {best.test_accuracy:.2f} % on {run.data.name}: not an official result."
    if run.held():
        lowest = min(row.test_accuracy for row in run.rows[-4:])
        return f"Held 99.40 % over the last 4 epochs (lowest {lowest:.2f} %)."
    return f"Did not hold 99.40 % over the last 4 epochs (best {best.test_accuracy:.2f} %)."
