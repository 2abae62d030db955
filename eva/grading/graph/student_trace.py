"""The student's part of a traceback: frames of their files, none of ours or of PyTorch's."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path

_OURS = Path(__file__).resolve().parents[2]


def student_trace(error: BaseException) -> str:
    """Write a traceback with the frames that lie in the student's own files, and the error.

    Args:
        error: As it was caught; a SyntaxError brings its line along.
    """
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if _is_theirs(frame.filename)
    ]
    lines = traceback.format_list(frames) + traceback.format_exception_only(error)
    return "".join(lines).rstrip()


def _is_theirs(filename: str) -> bool:
    if filename.startswith("<"):
        return False
    path = Path(filename).resolve()
    if "site-packages" in path.parts:
        return False
    if path.is_relative_to(_OURS):
        return path.is_relative_to(_OURS / "experiments")
    library = sysconfig.get_paths()["stdlib"]
    return not path.is_relative_to(library)
