"""What all commands share: consoles, exit codes, options, errors without tracebacks."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.panel import Panel

from eva.errors import (
    DataError,
    EvaError,
    GradingError,
    JobError,
    SubmissionError,
    TrainingError,
)

if TYPE_CHECKING:
    from eva.data import Dataset

out = Console()
err = Console(stderr=True)

_DISK = {errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM, getattr(errno, "EDQUOT", -1)}

FAILED, USAGE, OUTSIDE, INTERRUPTED = 1, 2, 3, 130
_CODES: dict[type[EvaError], int] = {
    DataError: OUTSIDE,
    GradingError: OUTSIDE,
    JobError: OUTSIDE,
    TrainingError: FAILED,
}  # any other error of ours is wrong usage

SubmissionArgument = Annotated[
    str, typer.Argument(help="A .py file, a notebook, a folder with one, or a dotted name.")
]
DataOption = Annotated[
    str,
    typer.Option(
        "--data",
        help="auto, mnist, mnist-mini, fashion-mnist, kmnist, emnist-letters or cifar10.",
    ),
]
DataDirOption = Annotated[
    Path | None, typer.Option("--data-dir", help="Folder that holds MNIST/raw (or set EVA_DATA).")
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
EpochsOption = Annotated[
    int | None, typer.Option("--epochs", min=1, help="Instead of the recipe's own number.")
]
HoldoutOption = Annotated[
    int | None,
    typer.Option(
        "--holdout", min=1, help="Test on N training images set aside: for tuning a recipe."
    ),
]
CompileOption = Annotated[
    str,
    typer.Option(
        "--compile", help="auto, on or off: compile the network, for a CPU, with a C++ compiler."
    ),
]
SeedOption = Annotated[
    int,
    typer.Option("--seed", min=0, max=2**63 - 1, help="Of weights, order and augmentation."),
]
AssignmentOption = Annotated[
    str, typer.Option("--assignment", help="Its name, or a folder with assignment.toml.")
]
OwnAssignmentOption = Annotated[
    str | None,
    typer.Option(
        "--assignment",
        help="Its name, or a folder with assignment.toml. Default: the folder's own, or mnist_8k.",
        show_default=False,
    ),
]
HintsOption = Annotated[
    int, typer.Option("--hints", count=True, help="One more hint a failed check; repeat for more.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def exit_code(error: EvaError) -> int:
    """1 where training or the student's code failed, 3 for the machine's faults, else 2."""
    if isinstance(error, SubmissionError) and error.__cause__ is not None:
        return FAILED  # it is there, and it raised
    if isinstance(error.__cause__, OSError) and error.__cause__.errno in _DISK:
        return OUTSIDE
    return next((_CODES[kind] for kind in type(error).__mro__ if kind in _CODES), USAGE)


@contextmanager
def friendly_errors(*failures: type[EvaError]) -> Iterator[None]:
    """Print an EvaError without a traceback and turn it into an exit code.

    So is what the disk says where something can't be written: it is full, or read-only.

    Args:
        failures: Errors that this command ends with 1 for: the network or the recipe is wrong, not
            what was typed.
    """
    try:
        yield
    except EvaError as error:
        err.print(f"{type(error).__name__}: {error}", style="red", markup=False, highlight=False)
        failed = isinstance(error, failures)
        raise typer.Exit(FAILED if failed else exit_code(error)) from error
    except OSError as error:
        if error.errno not in _DISK:
            raise
        place = error.filename or "the disk"
        text = f"{place} can't be written to: {error.strerror}.\n"
        text += "  Make room, or work in a folder of your own."
        err.print(text, style="red", markup=False, highlight=False)
        raise typer.Exit(OUTSIDE) from error


def load_announced(name: str, data_dir: Path | None) -> Dataset:
    """Load a data set; what stands in for full MNIST is announced in a box."""
    import warnings

    from eva.data import DataWarning, load_data

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        data = load_data(name, data_dir)
    if data.notice:
        err.print(Panel(data.notice, title="not full MNIST", style="bold yellow"))
    return data
