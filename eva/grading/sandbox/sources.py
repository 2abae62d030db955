"""The sources of one submission: a few small .py files, by names that can be written to a disk."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from eva.errors import GradingError, SubmissionError
from eva.notebook import read_notebook
from eva.submission import ENTRIES

_NAME_BYTES = 200  # of a file or folder; file systems take 255
_PATH_BYTES = 1000  # of a whole path inside the submission; Linux takes 4096 of an absolute one


def sources_of(folder: Path, *, most_files: int, most_bytes: int) -> dict[str, bytes]:
    """Regular .py files of a folder by their paths in it, and ``submission.ipynb``; no links.

    Raises:
        GradingError: They are too many, or too large.
        OSError: One of them can't be read.
    """
    found: dict[str, bytes] = {}
    total = 0
    for top, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(names):
            path = Path(top) / name
            entry = path == folder / ENTRIES[1]
            if (path.suffix != ".py" and not entry) or path.is_symlink() or not path.is_file():
                continue
            content = _code_of(path) if entry else None
            total += path.stat().st_size if content is None else len(content)
            _require_small(len(found) + 1, total, most_files, most_bytes)
            found[path.relative_to(folder).as_posix()] = content or path.read_bytes()
    return found


def require_writable(files: Mapping[str, bytes], *, most_files: int, most_bytes: int) -> None:
    """Refuse sources that are too many or too large, or that no folder could hold.

    Raises:
        GradingError: The message says which name, and why.
    """
    _require_small(len(files), sum(map(len, files.values())), most_files, most_bytes)
    why = why_not_writable(files)
    if why is not None:
        raise GradingError(f"the sources can't be written to a disk: {why}.")


def why_not_writable(names: Iterable[str]) -> str | None:
    """Why a folder can't hold files of these paths, in words; None where it can."""
    paths = [PurePosixPath(name) for name in names]
    folders = {parent for path in paths for parent in path.parents}
    for path in paths:
        text = str(path)
        if "\0" in text or text.encode(errors="replace").decode() != text:
            return f"the name {text[:60]!r} can't be that of a file"
        if len(text.encode(errors="replace")) > _PATH_BYTES or any(
            len(part.encode(errors="replace")) > _NAME_BYTES for part in path.parts
        ):
            return f"the name {text[:60]}... is too long"
        if path in folders:
            return f"{text} is a file and a folder"
    return None


def _code_of(path: Path) -> bytes:
    """A notebook without its outputs."""
    try:
        return read_notebook(path).to_bytes()
    except SubmissionError as error:
        raise GradingError(error.problem, error.hint) from error


def _require_small(count: int, size: int, most_files: int, most_bytes: int) -> None:
    if size > most_bytes or count > most_files:
        raise GradingError(
            f"at most {most_files} files and {most_bytes:,} bytes of sources are allowed."
        )
