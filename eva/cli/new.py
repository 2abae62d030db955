"""``eva new``: a folder to work in."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from eva.cli.options import friendly_errors, out


def new_command(
    assignment: Annotated[
        str,
        typer.Argument(help="Its name, such as mnist_8k, or a folder with assignment.toml."),
    ],
    folder: Annotated[
        Path | None, typer.Argument(help="Default: the assignment's name.", show_default=False)
    ] = None,
) -> None:
    """Make a folder to work in and hand in: starter, tests, README, a workflow for GitHub."""
    with friendly_errors():
        from eva.errors import GradingError
        from eva.grading.checks.rubric import load_assignment
        from eva.grading.practice.new import new_folder

        try:
            rubric = load_assignment(assignment)
        except GradingError as error:
            raise typer.BadParameter(str(error), param_hint="ASSIGNMENT") from error
        folder = Path(rubric.name) if folder is None else folder
        for file in new_folder(assignment, folder):
            out.print(str(file), markup=False, highlight=False, soft_wrap=True)
        typed = shlex.quote(str(folder))
        out.print(
            f"\n{rubric.title}\nNext: `cd {typed}`, read README.md, and run `pytest`.",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
