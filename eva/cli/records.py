"""Commands about run records: ``eva plot`` and ``eva compare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eva.cli.options import friendly_errors, out

if TYPE_CHECKING:
    from eva.record import Run


def compare_command(
    first: Annotated[Path, typer.Argument(metavar="RUN", help="A record, or a folder with one.")],
    second: Annotated[Path, typer.Argument(metavar="RUN", help="The other.")],
    picture: Annotated[
        Path | None,
        typer.Option("--plot", help="Draw both curves there, such as a.png.", show_default=False),
    ] = None,
) -> None:
    """Say in what two runs differ: recipe, network, curves and verdict."""
    with friendly_errors():
        from eva.comparison import Comparison

        runs = [_run(path) for path in (first, second)]
        text = Comparison(first=runs[0], second=runs[1], names=(str(first), str(second))).to_text()
        out.print(text, markup=False, highlight=False, soft_wrap=True)
        if picture is not None:
            from eva import plots

            plots.save_curves(runs, picture)
            out.print(f"\n  {picture}", markup=False, highlight=False, soft_wrap=True)


def plot_command(
    records: Annotated[list[Path], typer.Argument(help="Run records, or folders with one.")],
    folder: Annotated[Path, typer.Option("--out", help="Folder for the pictures.")],
) -> None:
    """Draw curves, learning rate and confusion matrices from run records."""
    with friendly_errors():
        from eva import plots

        for file in plots.save_record_plots([_run(path) for path in records], folder):
            out.print(str(file), markup=False, highlight=False, soft_wrap=True)


def _run(path: Path) -> Run:
    """A record, or that of a run's folder."""
    from eva.record import Run

    return Run.load(path / "record.json" if path.is_dir() else path)
