"""``eva data``: find, fetch and verify MNIST."""

from __future__ import annotations

from pathlib import Path

import typer

from eva.cli.options import DataDirOption, friendly_errors, out
from eva.errors import DataError

data_app = typer.Typer(help="Find, fetch and verify MNIST.", no_args_is_help=True)


@data_app.command("fetch")
def fetch_command() -> None:
    """Download MNIST into the user's cache, and verify it."""
    with friendly_errors():
        from eva.data import mnist_files

        out.print(f"MNIST is in {mnist_files.fetch()}.", markup=False, highlight=False)


@data_app.command("verify")
def verify_command(data_dir: DataDirOption = None) -> None:
    """Compare the files' checksums with the published ones."""
    with friendly_errors():
        from eva.data import mnist_files

        for file in mnist_files.verify(_where(data_dir)):
            out.print(f"ok  {file}", markup=False, highlight=False, soft_wrap=True)


@data_app.command("where")
def where_command(data_dir: DataDirOption = None) -> None:
    """Print the folder that full MNIST is read from."""
    with friendly_errors():
        out.print(str(_where(data_dir)), markup=False, highlight=False, soft_wrap=True)


def _where(data_dir: Path | None) -> Path:
    from eva.data import mnist_files

    folder = mnist_files.find(data_dir)
    if folder is None:
        raise DataError(
            f"full MNIST is neither in EVA_DATA nor in {mnist_files.cache_dir()}.",
            "Run `eva data fetch`.",
        )
    return folder
