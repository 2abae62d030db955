"""What all commands share: consoles, exit codes, options, errors without tracebacks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.panel import Panel

from eva.errors import DataError, EvaError, GradingError, TrainingError

if TYPE_CHECKING:
    from eva.data import Dataset

out = Console()
err = Console(stderr=True)

FAILED, USAGE, OUTSIDE, INTERRUPTED = 1, 2, 3, 130

SubmissionArgument = Annotated[
    str, typer.Argument(help="A file, a folder with submission.py, or a dotted module name.")
]
DataOption = Annotated[str, typer.Option("--data", help="auto, mnist or mnist-mini.")]
DataDirOption = Annotated[
    Path | None, typer.Option("--data-dir", help="Folder that holds MNIST/raw (or set EVA_DATA).")
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
CompileOption = Annotated[
    bool, typer.Option("--compile", help="Compile the network, for a CPU; takes a C++ compiler.")
]
SeedOption = Annotated[int, typer.Option("--seed", help="Of weights, order and augmentation.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@contextmanager
def friendly_errors() -> Iterator[None]:
    """Print an EvaError without a traceback and turn it into an exit code."""
    try:
        yield
    except EvaError as error:
        err.print(f"{type(error).__name__}: {error}", style="red", markup=False, highlight=False)
        codes = {DataError: OUTSIDE, GradingError: OUTSIDE, TrainingError: FAILED}
        raise typer.Exit(codes.get(type(error), USAGE)) from error


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
