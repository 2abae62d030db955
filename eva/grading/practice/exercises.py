"""The exercises of the lessons: a folder of them to work in, and which of them are solved.

The one source is ``docs/exercises`` of the repository; the wheel carries it as ``eva/exercises``.
"""

from __future__ import annotations

import contextlib
import io
import os
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from eva.errors import GradingError
from eva.grading.practice.new import write_files

_SHIPPED = Path(__file__).parents[2] / "exercises"
_CHECKOUT = Path(__file__).parents[3] / "docs" / "exercises"
_LIST = "course.toml"
_PLACES = (".", "exercises", "docs/exercises")


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """A lesson and its exercises.

    Attributes:
        name: Of its page and of the folder of its exercises.
        title: As the course lists it.
        exercises: Name of each in order -> whether its test passes.
    """

    name: str
    title: str
    exercises: dict[str, bool] = field(default_factory=dict)

    @property
    def solved(self) -> int:
        """How many exercises are solved."""
        return sum(self.exercises.values())

    @property
    def done(self) -> bool:
        """Whether it has exercises and all of them are solved."""
        return bool(self.exercises) and all(self.exercises.values())


def exercises_source() -> Path:
    """The folder of the exercises that come with eva."""
    return _SHIPPED if _SHIPPED.is_dir() else _CHECKOUT


def new_exercises(folder: Path) -> list[Path]:
    """Write the exercises, their tests and hints; paths in the README are those of the folder.

    Raises:
        GradingError: The folder can't be written.
        SubmissionError: A file of this name is there already; nothing was written.
    """
    source = exercises_source()
    files = {
        path.relative_to(source).as_posix(): path.read_bytes()
        for path in source.rglob("*")
        if path.suffix in (".py", ".md", ".toml")
    }
    typed = folder.as_posix().encode()
    files["README.md"] = files["README.md"].replace(b"docs/exercises", typed)
    return write_files(files, folder)


def find_exercises(start: Path) -> Path | None:
    """The folder of exercises at a place: itself, ``exercises`` or ``docs/exercises`` in it."""
    found = (start / place for place in _PLACES if (start / place / _LIST).is_file())
    return next(found, None)


def lessons(folder: Path | None) -> list[Lesson]:
    """Run every exercise's test, and return the lessons in order.

    Args:
        folder: Of the exercises; without one, no lesson has any.

    Raises:
        GradingError: The list of lessons can't be read.
    """
    path = (folder or exercises_source()) / _LIST
    try:
        listed = tomllib.loads(path.read_text(encoding="utf-8"))["lesson"]
        named = [(str(one["name"]), str(one["title"])) for one in listed]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GradingError(
            f"{path} is no list of lessons: {error}.", "Make the folder anew: `eva new exercises`."
        ) from error
    results = {} if folder is None else _run(folder)
    return [
        Lesson(name=name, title=title, exercises=results.get(name, {})) for name, title in named
    ]


def _run(folder: Path) -> dict[str, dict[str, bool]]:
    """Results by lesson and exercise; a file that does not import solves nothing."""
    seen = _Results()
    options = ["-c", os.devnull, "--rootdir", str(folder), "--import-mode=importlib", "-q"]
    silent = io.StringIO()
    with contextlib.redirect_stdout(silent), contextlib.redirect_stderr(silent):
        pytest.main([*options, "-p", "no:cacheprovider", str(folder)], plugins=[seen])
    return seen.lessons


class _Results:
    """A plugin of pytest that keeps what each test ended with."""

    def __init__(self) -> None:
        self.lessons: dict[str, dict[str, bool]] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            self.lessons.setdefault(item.path.parent.name, {})[item.name] = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            file, _, name = report.nodeid.partition("::")
            self.lessons[file.split("/")[-2]][name] = True
