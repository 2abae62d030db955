"""``eva new``: a folder to work in."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from eva.cli.options import friendly_errors, out


def new_command(
    assignment: Annotated[
        str,
        typer.Argument(
            help="Its name, such as mnist_8k, or a folder with assignment.toml; or: exercises."
        ),
    ],
    folder: Annotated[
        Path | None, typer.Argument(help="Default: the assignment's name.", show_default=False)
    ] = None,
) -> None:
    """Make a folder to work in: an assignment to hand in, or the exercises of the lessons."""
    with friendly_errors():
        if assignment == "exercises":
            from eva.grading.practice.exercises import new_exercises

            folder = folder or Path("exercises")
            _say(new_exercises(folder), "The exercises of the lessons")
            _say([], f"Next: read {shlex.quote(str(folder / 'README.md'))}, and run `eva course`.")
            return
        from eva.errors import GradingError
        from eva.grading.checks.rubric import load_assignment
        from eva.grading.practice.new import new_folder

        try:
            rubric = load_assignment(assignment)
        except GradingError as error:
            raise typer.BadParameter(str(error), param_hint="ASSIGNMENT") from error
        folder = Path(rubric.name) if folder is None else folder
        _say(new_folder(assignment, folder), rubric.title)
        typed = shlex.quote(str(folder))
        _say([], f"Next: `cd {typed}`, read README.md, and run `pytest`.")


def _say(files: Sequence[Path], line: str) -> None:
    text = "\n".join([*map(str, files), *[""] * bool(files), line])
    out.print(text, markup=False, highlight=False, soft_wrap=True)
