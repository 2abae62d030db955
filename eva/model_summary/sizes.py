"""Sizes as people write them: ``1x28x28``."""

from __future__ import annotations

from collections.abc import Sequence

from eva.errors import InputSizeError

EXAMPLE = "Write channels x height x width, such as 1x28x28."


def parse_size(text: str) -> tuple[int, ...]:
    """Read ``"1x28x28"`` as ``(1, 28, 28)``.

    Raises:
        InputSizeError: Something is not a positive whole number.
    """
    parts = text.lower().replace("×", "x").split("x")
    if not all(part.strip().isdigit() for part in parts):
        raise InputSizeError(f"{text!r} is not a size.", EXAMPLE)
    size = tuple(int(part) for part in parts)
    if min(size) < 1:
        raise InputSizeError(f"{text!r} has a side of zero.", EXAMPLE)
    return size


def format_size(size: Sequence[int] | None) -> str:
    """Write ``(26, 26)`` as ``"26x26"``; nothing for None."""
    return "x".join(map(str, size)) if size else ""
