"""Terminals that can't show every character get the nearest that they can."""

from __future__ import annotations

import codecs
import io
import sys

_NEAREST = {
    "…": "...", "—": "-", "–": "-", "‐": "-", "−": "-", "→": "->", "←": "<-", "×": "x", "·": ".",
    "•": "*", "±": "+-", "≤": "<=", "≥": ">=", "‹": "<", "›": ">", "“": '"', "”": '"', "‘": "'",
    "’": "'", "°": " degrees", "✓": "ok", "✗": "no", "µ": "u", " ": " ",
}  # fmt: skip
HANDLER = "eva.nearest"


def nearest_characters(error: UnicodeError) -> tuple[str, int]:
    """Replace what an encoding has no word for; a handler for :func:`codecs.register_error`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_plain, error.object[error.start : error.end])), error.end


def _plain(character: str) -> str:
    if character in _NEAREST:
        return _NEAREST[character]
    if "█" >= character >= "▀" or character in "▉▊▋▌▍▎▏▐░▒▓":  # bars
        return "#"
    if "╿" >= character >= "─":  # frames
        return "-" if character in "─━═" else "|" if character in "│┃║" else "+"
    return "?"


def show_every_character() -> None:
    """Let standard output and error replace what they can't encode, in place of failing."""
    codecs.register_error(HANDLER, nearest_characters)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=HANDLER)
