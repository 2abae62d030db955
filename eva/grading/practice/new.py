"""``eva new``: a folder to work in and to hand in, made from an assignment."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import eva
from eva.errors import GradingError, SubmissionError
from eva.grading.checks.rubric import assignment_file, assignments_folder, load_assignment

_BADGE = "[![practice](../../actions/workflows/practice.yml/badge.svg)](../../actions)\n\n"
_GITIGNORE = """\
__pycache__/
.pytest_cache/
.ipynb_checkpoints/
.venv/
data/
runs/
"""
_WORKFLOW = """\
# Runs on GitHub at each push, where this folder is the root of a repository. It is practice:
# whoever can push can change it, so nothing that it says is a grade.
name: practice
on: push
permissions:
  contents: read
jobs:
  practice:
    runs-on: ubuntu-latest
    timeout-minutes: 90
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
          cache: pip
          cache-dependency-path: .github/workflows/practice.yml
      - run: pip install "eva-course=={version}"
{data}      - run: python -m pytest --hints
"""
_DATA = """\
      - uses: actions/cache@v4
        with:
          path: ~/.cache/eva-course/data
          key: eva-data
      - run: eva data fetch
"""
_TEXT = {".md", ".py", ".toml"}
_LINK = re.compile(r"\[([^\]]+)\]\(\.\./[^)]*\)")


def new_folder(assignment: str | Path, folder: str | Path | None = None) -> list[Path]:
    """Write an assignment's files, its ``conftest.py``, a ``.gitignore`` and a workflow for GitHub.

    Commands in the texts are those that one types inside the folder.

    Args:
        assignment: Its name, such as "mnist_8k", or the path of a folder with assignment.toml.
        folder: Made where it is missing; by default it has the assignment's name. Other files that
            are in it stay.

    Returns:
        The files, sorted.

    Raises:
        GradingError: There is no such assignment, or the folder can't be written.
        SubmissionError: A file of this name is there already; nothing was written.
    """
    files = _files(assignment)
    return write_files(files, Path(load_assignment(assignment).name if folder is None else folder))


def write_files(files: dict[str, bytes], folder: Path) -> list[Path]:
    """Write all files, or none; return their paths, sorted.

    Args:
        files: Content by path under the folder, with ``/`` between its parts.
        folder: Made where it is missing.

    Raises:
        GradingError: The folder can't be written.
        SubmissionError: A file of this name is there already; nothing was written.
    """
    if folder.exists() and not folder.is_dir():
        raise SubmissionError(f"{folder} is a file.", "Name another folder.")
    there = sorted(name for name in files if (folder / name).exists())
    if there:
        raise SubmissionError(
            f"{folder} holds {_list(there)} already; nothing was written.",
            "Name a new folder: `eva new NAME FOLDER`.",
        )
    made: list[Path] = []
    try:
        for name, content in sorted(files.items()):
            path = folder / name
            made += _make_folder(path.parent)
            made.append(path)
            path.write_bytes(content)
    except OSError as error:
        _remove(made)
        raise GradingError(
            f"{folder} can't be written: {error.strerror}.",
            "Choose a folder of your own, or make room on the disk.",
        ) from error
    return [folder / name for name in sorted(files)]


def _files(assignment: str | Path) -> dict[str, bytes]:
    """Content by path under the new folder, with ``/`` between its parts."""
    source = assignment_file(assignment).parent
    rubric = load_assignment(assignment)
    try:
        found = {
            path.relative_to(source).as_posix(): path.read_bytes()
            for path in source.rglob("*")
            if path.is_file() and not _is_made(path.relative_to(source))
        }
        found.setdefault("conftest.py", (assignments_folder() / "conftest.py").read_bytes())
    except OSError as error:
        raise GradingError(f"{source} can't be read: {error.strerror}.") from error
    found = {name: _rewritten(name, content, source.name) for name, content in found.items()}
    data = _DATA if rubric.trains else ""
    workflow = _WORKFLOW.format(version=eva.__version__, data=data)
    return found | {
        ".gitignore": _GITIGNORE.encode(),
        ".github/workflows/practice.yml": workflow.encode(),
        "README.md": _BADGE.encode() + found.get("README.md", f"# {rubric.title}\n".encode()),
    }


def _is_made(path: Path) -> bool:
    """Whether Python or an editor made it: no part of the assignment."""
    return any(part.startswith((".", "__pycache__")) for part in path.parts)


def _rewritten(name: str, content: bytes, assignment: str) -> bytes:
    """A text with paths as seen from inside the folder, and no links that lead out of it."""
    if Path(name).suffix not in _TEXT:
        return content
    text = content.decode("utf-8")
    text = text.replace(f"assignments/{assignment}/", "").replace(f"assignments/{assignment}", ".")
    return (_LINK.sub(r"\1", text) if name.endswith(".md") else text).encode("utf-8")


def _make_folder(path: Path) -> list[Path]:
    """Make a folder with its parents; return those that were missing, the outermost first."""
    missing = [place for place in (path, *path.parents) if not place.exists()][::-1]
    path.mkdir(parents=True, exist_ok=True)
    return missing


def _remove(made: list[Path]) -> None:
    """Take back what was written, as far as that can be done."""
    for path in reversed(made):
        with suppress(OSError):
            path.rmdir() if path.is_dir() else path.unlink()


def _list(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
