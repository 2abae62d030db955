"""``eva data``: find, fetch and verify data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eva.cli.options import DataDirOption, friendly_errors, out
from eva.errors import DataError

data_app = typer.Typer(help="Find, fetch and verify MNIST, or another set.", no_args_is_help=True)
NameArgument = Annotated[
    str,
    typer.Argument(help="mnist, fashion-mnist, kmnist, emnist-letters or cifar10.", metavar="NAME"),
]


@data_app.command("fetch")
def fetch_command(name: NameArgument = "mnist") -> None:
    """Download a data set into the user's cache, and verify it."""
    with friendly_errors():
        from eva.data import fetch_data

        _require_known(name)
        shown = "MNIST" if name == "mnist" else name
        out.print(f"{shown} is in {fetch_data(name)}.", markup=False, highlight=False)


@data_app.command("verify")
def verify_command(name: NameArgument = "mnist", data_dir: DataDirOption = None) -> None:
    """Compare the files' checksums with the published ones."""
    with friendly_errors():
        from eva.data import verify_data

        for file in verify_data(name, _where(name, data_dir)):
            out.print(f"ok  {file}", markup=False, highlight=False, soft_wrap=True)


@data_app.command("where")
def where_command(name: NameArgument = "mnist", data_dir: DataDirOption = None) -> None:
    """Print the folder that a data set is read from."""
    with friendly_errors():
        out.print(str(_where(name, data_dir)), markup=False, highlight=False, soft_wrap=True)


def _where(name: str, data_dir: Path | None) -> Path:
    from eva.data import find_data
    from eva.data.mnist_files import cache_dir

    _require_known(name)
    folder = find_data(name, data_dir)
    if folder is None:
        shown, typed = ("full MNIST", "") if name == "mnist" else (name, f" {name}")
        raise DataError(
            f"{shown} is neither in EVA_DATA nor in {cache_dir()}.",
            f"Run `eva data fetch{typed}`.",
        )
    return folder


def _require_known(name: str) -> None:
    from eva.data import PUBLISHED

    if name not in PUBLISHED:
        raise typer.BadParameter(f"known: {', '.join(PUBLISHED)}", param_hint="NAME")
