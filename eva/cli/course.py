"""``eva course``: where one is in the course."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eva.cli.options import friendly_errors, out

_FOLDER = typer.Argument(help="Folder of the exercises. Default: the one here.", show_default=False)


def course_command(folder: Annotated[Path | None, _FOLDER] = None) -> None:
    """List the lessons, how many of their exercises are solved, and what comes next."""
    with friendly_errors():
        from eva.errors import SubmissionError
        from eva.grading.practice.exercises import find_exercises, lessons

        place = find_exercises(folder or Path("."))
        if place is None and folder is not None:
            raise SubmissionError(
                f"{folder} holds no exercises.", "Make a folder of them: `eva new exercises`."
            )
        found = lessons(place)
        lines = []
        for lesson in found:
            solved = f"{lesson.solved}/{len(lesson.exercises)}" if lesson.exercises else ""
            lines.append(f"{'x' if lesson.done else ' ':>3} {lesson.title:<32}{solved:>6}")
        step = "Next: "
        todo = next((lesson for lesson in found if not lesson.done), None)
        if place is None:
            step += "make a folder of exercises with `eva new exercises`."
        elif todo is None:
            step += "all exercises are solved. Make your submission: `eva new mnist_8k`."
        else:
            name = next((n for n, done in todo.exercises.items() if not done), "")
            title = name.removeprefix("test_").replace("_", " ")
            path = place / todo.name
            step += f"exercise {title} in {path / 'exercise.py'}, then `pytest {path}`."
        out.print("\n".join([*lines, "", step]), markup=False, highlight=False, soft_wrap=True)
