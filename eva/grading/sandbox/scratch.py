"""Folders for a moment, which are gone even when the process that made them is killed.

Each has a lock that ends with its process, however that ends. Whoever makes a new folder first
removes those that nobody holds any more.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX = "eva-sandbox-"
_LOCK = ".lock"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A new folder in the system's place for temporary files."""
    remove_stale()
    folder, lock = _locked_folder()
    try:
        yield folder
    finally:
        lock.release()
        _remove(folder)


def remove_stale() -> None:
    """Remove the folders of processes that are gone; those of other users are left alone."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError, Timeout):
            if folder.is_symlink() or folder.lstat().st_uid != os.geteuid():
                continue
            if (folder / _LOCK).exists():  # else it is being made or removed just now
                with FileLock(folder / _LOCK, timeout=0):
                    _remove(folder)


def _locked_folder() -> tuple[Path, FileLock]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        lock = FileLock(folder / _LOCK)
        with suppress(OSError):
            lock.acquire()
            if (folder / _LOCK).exists():
                return folder, lock
        lock.release()  # somebody took it for a stale one before it was locked


def _remove(folder: Path) -> None:
    """Remove a folder, whatever rights were taken away below it; no link is followed."""
    folder.chmod(0o700)
    for top, names, _ in os.walk(folder):
        for name in names:
            path = Path(top, name)
            if not path.is_symlink():
                path.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
