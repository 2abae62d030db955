"""The numbers of a run in TensorBoard, MLflow or Weights & Biases, beside the record.

Each needs its package, and says so when it is made: before anything is trained.
"""

from __future__ import annotations

import importlib
import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eva.errors import EvaError
from eva.record import EpochRow, Run
from eva.training.callbacks.callback import Callback

if TYPE_CHECKING:
    from eva.training.trainer import Trainer

PROJECT = "eva"  # experiment of MLflow, project of Weights & Biases


class LoggerName(StrEnum):
    """What ``eva train --log`` knows."""

    TENSORBOARD = "tensorboard"
    MLFLOW = "mlflow"
    WANDB = "wandb"


class TensorBoard(Callback):
    """Write event files; ``tensorboard --logdir FOLDER`` shows them.

    Args:
        folder: For the event files.

    Raises:
        EvaError: The package is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        _require("tensorboard")
        self._writer_class = importlib.import_module("torch.utils.tensorboard").SummaryWriter
        self._folder = str(folder)
        self._writer: Any = None

    def on_fit_start(self, trainer: Trainer) -> None:
        """Open the files; what an interrupted run wrote after its last whole epoch is dropped."""
        first = len(trainer.run.rows)
        self._writer = self._writer_class(self._folder, purge_step=first + 1 if first else None)
        if not first:
            self._writer.add_text("run", f"<pre>{trainer.run.recipe.to_json()}</pre>")

    def on_epoch_end(self, trainer: Trainer, row: EpochRow) -> None:
        """Write the epoch's numbers."""
        for name, value in numbers_of(row).items():
            self._writer.add_scalar(name, value, row.epoch + 1)
        self._writer.flush()

    def on_fit_end(self, trainer: Trainer, run: Run) -> None:
        """Close the files."""
        self._writer.close()


class MLflow(Callback):
    """Log to MLflow: wherever ``MLFLOW_TRACKING_URI`` says, or in the folder you are in.

    Raises:
        EvaError: The package is not installed.
    """

    def __init__(self) -> None:
        self._mlflow = _require("mlflow")

    def on_fit_start(self, trainer: Trainer) -> None:
        """Begin a run of the experiment "eva", with the recipe as its parameters."""
        run = trainer.run
        self._mlflow.set_experiment(PROJECT)
        self._mlflow.start_run(run_name=_name(run))
        recipe = {key: str(value)[:500] for key, value in run.recipe.to_json().items()}
        self._mlflow.log_params(recipe | {"seed": run.seed, "parameters": run.parameters})

    def on_epoch_end(self, trainer: Trainer, row: EpochRow) -> None:
        """Log the epoch's numbers."""
        self._mlflow.log_metrics(numbers_of(row), step=row.epoch + 1)

    def on_fit_end(self, trainer: Trainer, run: Run) -> None:
        """End the run, with the verdict as a tag."""
        self._mlflow.set_tag("verdict", run.verdict())
        self._mlflow.end_run()


class WandB(Callback):
    """Log to Weights & Biases, offline unless ``WANDB_MODE`` says otherwise.

    ``wandb sync`` sends an offline run later.

    Args:
        folder: For the files of the run.

    Raises:
        EvaError: The package is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        self._wandb = _require("wandb")
        self._folder = Path(folder)
        self._run: Any = None

    def on_fit_start(self, trainer: Trainer) -> None:
        """Begin a run of the project "eva", with the recipe as its configuration."""
        run = trainer.run
        self._folder.mkdir(parents=True, exist_ok=True)
        self._run = self._wandb.init(
            project=PROJECT,
            name=_name(run),
            dir=str(self._folder),
            mode=os.environ.get("WANDB_MODE", "offline"),
            config=run.recipe.to_json() | {"seed": run.seed, "parameters": run.parameters},
        )

    def on_epoch_end(self, trainer: Trainer, row: EpochRow) -> None:
        """Log the epoch's numbers."""
        self._run.log(numbers_of(row), step=row.epoch + 1)

    def on_fit_end(self, trainer: Trainer, run: Run) -> None:
        """End the run, with the verdict in its summary."""
        self._run.summary["verdict"] = run.verdict()
        self._run.finish()


def make_logger(name: str, folder: Path) -> Callback:
    """The logger of this name, for a run in this folder.

    Raises:
        EvaError: There is none, or its package is not installed.
    """
    known = [*LoggerName]
    if name not in known:
        raise EvaError(f"no logger is called {name!r}.", f"Known: {', '.join(known)}.")
    if name == LoggerName.TENSORBOARD:
        return TensorBoard(folder / "tensorboard")
    return MLflow() if name == LoggerName.MLFLOW else WandB(folder)


def numbers_of(row: EpochRow) -> dict[str, float]:
    """What is logged of an epoch, by the names that loggers group by."""
    return {
        "loss/train": row.train_loss,
        "loss/test": row.test_loss,
        "accuracy/train": row.train_accuracy,
        "accuracy/test": row.test_accuracy,
        "lr": row.lr,
    }


def _name(run: Run) -> str:
    return f"{run.submission}, seed {run.seed}"


def _require(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise EvaError(
            f"--log {package} needs the package {package}, which can't be imported: {error}.",
            f"`pip install {package}`, or leave it out.",
        ) from error
