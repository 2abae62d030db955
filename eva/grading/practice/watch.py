"""Watch a submission and look again at every save."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from eva.errors import EvaError, SubmissionError
from eva.grading.checks.report import Report
from eva.grading.practice.grade import check

_WATCHED = ("*.py", "*.ipynb", "*/*.py")
POLL = 0.3  # seconds between two looks at the files; a person does not notice


def watch(
    submission: str | Path,
    assignment: str | Path,
    *,
    show: Callable[[Report | EvaError], None],
    hints: int = 0,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Run the fast checks now and after every save, until ``sleep`` or ``show`` raises.

    A save that is broken, or a file that is gone for a moment, is shown like any other result.

    Args:
        submission: Path of a file or notebook, or of a folder with one; helpers count too.
        assignment: Its name, or the path of a folder with assignment.toml.
        show: Called with each report; with the error where there could be none.
        hints: Questions shown for each failed check beyond the first.
        sleep: Waits between two looks.

    Raises:
        SubmissionError: There is no such file or folder.
        KeyboardInterrupt: Passed on; the usual end.
    """
    path = Path(submission)
    if not path.exists():
        raise SubmissionError(
            f"there is no file {submission} to watch.", f"You are in {Path.cwd()}."
        )
    seen: dict[Path, tuple[int, int]] | None = None
    while True:
        found = _stamps(path if path.is_dir() else path.parent)
        if found != seen:
            seen = found
            try:
                show(check(submission, assignment, hints=hints))
            except EvaError as error:
                show(error)
        sleep(POLL)


def _stamps(folder: Path) -> dict[Path, tuple[int, int]]:
    """Time and size of the last save of each Python file and notebook."""
    stamps = {}
    files = [path for pattern in _WATCHED for path in folder.glob(pattern)]
    for path in files:
        try:
            stat = path.stat()
        except OSError:  # renamed by the editor between the two calls
            continue
        stamps[path] = (stat.st_mtime_ns, stat.st_size)
    return stamps
