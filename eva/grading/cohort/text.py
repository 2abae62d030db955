"""Text of strangers before it is kept: names, messages and traces, of bounded length."""

from __future__ import annotations

TEXT_BYTES = 2000  # of one name, message or trace


def printable(text: str) -> str:
    """Text that can be written as UTF-8, whatever bytes a name held, cut to :data:`TEXT_BYTES`.

    Example:
        >>> printable("a" * 3000)[-6:]
        'aa ...'
    """
    content = text.encode("utf-8", "surrogateescape")
    if len(content) > TEXT_BYTES:
        content = content[: TEXT_BYTES - 4]
        return f"{content.decode('utf-8', 'ignore')} ..."
    return content.decode("utf-8", "replace")
