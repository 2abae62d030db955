"""Commands about run records: ``eva plot``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eva.cli.options import friendly_errors, out


def plot_command(
    records: Annotated[list[Path], typer.Argument(help="Run records (JSON).")],
    folder: Annotated[Path, typer.Option("--out", help="Folder for the pictures.")],
) -> None:
    """Draw curves, learning rate and confusion matrices from run records."""
    with friendly_errors():
        from eva import plots
        from eva.record import Run

        for file in plots.save_record_plots([Run.load(path) for path in records], folder):
            out.print(str(file), markup=False, highlight=False, soft_wrap=True)
