"""The student's part of a traceback: frames of their files, none of ours or of PyTorch's."""

from __future__ import annotations

import traceback

from eva.builder import in_their_words, their_frames


def student_trace(error: BaseException) -> str:
    """Write a traceback with the frames that lie in the student's own files, and the error.

    Args:
        error: As it was caught; a SyntaxError brings its line along.
    """
    lines = traceback.format_list(their_frames(error)) + traceback.format_exception_only(error)
    return in_their_words("".join(lines)).rstrip()
