"""The student's part of a traceback: frames of their files, none of ours or of PyTorch's."""

from __future__ import annotations

import traceback

from eva.builder import in_their_words, is_theirs


def student_trace(error: BaseException) -> str:
    """Write a traceback with the frames that lie in the student's own files, and the error.

    Args:
        error: As it was caught; a SyntaxError brings its line along.
    """
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if is_theirs(frame.filename)
    ]
    lines = traceback.format_list(frames) + traceback.format_exception_only(error)
    return in_their_words("".join(lines)).rstrip()
