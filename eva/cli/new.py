"""``eva new`` and ``eva check-assignment``: folders to work in, and what is wrong with one."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from eva.cli.options import FAILED, friendly_errors, out


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
    own: Annotated[
        bool,
        typer.Option(
            "--assignment", help="For instructors: an assignment of your own, of this new name."
        ),
    ] = False,
) -> None:
    """Make a folder to work in: an assignment to hand in, or the exercises of the lessons."""
    with friendly_errors():
        if own:
            from eva.grading.practice.new_assignment import new_assignment

            folder = Path(assignment) if folder is None else folder
            made = new_assignment(assignment, folder)
            typed = shlex.quote(str(folder))
            _say(
                made,
                "An assignment of your own",
                f"Next: change assignment.toml, then `eva check-assignment {typed}` and "
                f"`pytest {typed}`.",
            )
            return
        if assignment == "exercises":
            from eva.grading.practice.exercises import new_exercises

            folder = folder or Path("exercises")
            made = new_exercises(folder)
            typed = shlex.quote(str(folder / "README.md"))
            _say(made, "The exercises of the lessons", f"Next: read {typed}, and run `eva course`.")
            return
        from eva.errors import GradingError
        from eva.grading.checks.rubric import load_assignment
        from eva.grading.practice.new import new_folder

        try:
            rubric = load_assignment(assignment)
        except GradingError as error:
            raise typer.BadParameter(str(error), param_hint="ASSIGNMENT") from error
        folder = Path(rubric.name) if folder is None else folder
        made = new_folder(assignment, folder)
        typed = shlex.quote(str(folder))
        _say(made, rubric.title, f"Next: `cd {typed}`, read README.md, and run `pytest`.")


def _say(files: Sequence[Path], title: str, then: str) -> None:
    text = "\n".join([*map(str, files), "", title, then])
    out.print(text, markup=False, highlight=False, soft_wrap=True)


def check_assignment_command(
    assignment: Annotated[
        str, typer.Argument(help="A folder with assignment.toml, such a file, or a known name.")
    ],
) -> None:
    """Say what is wrong with an assignment's file, by key, and show what it asks."""
    with friendly_errors():
        from eva.grading.checks.rubric import assignment_file, load_assignment, problems_of

        problems = problems_of(assignment)
        for problem in problems:
            out.print(
                f"{assignment_file(assignment)}: {problem}",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
        if problems:
            raise typer.Exit(FAILED)
        found = load_assignment(assignment)
        for name, spec in found.checks.items():
            given = ", ".join(f"{key} = {value}" for key, value in spec.numbers.items())
            kind = f"{spec.kind or 'its own test'}{f' ({given})' if given else ''}"
            out.print(
                f"{spec.points:>5g}  {name}: {kind}", markup=False, highlight=False, soft_wrap=True
            )
        out.print(
            f"{found.points:>5g}  {found.name}: {found.title}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
