"""Where eva keeps what it can make or fetch again, on machines with and without a home."""

from __future__ import annotations

import tempfile
import uuid
from contextlib import suppress
from pathlib import Path

import platformdirs

CACHE_NAME = "eva-course"


def cache_folders() -> tuple[Path, ...]:
    """Folders that may hold something: the user's cache, and one among temporary files.

    The first is missing where there is no home to put it in.
    """
    try:
        own = platformdirs.user_cache_path(CACHE_NAME)
    except (RuntimeError, OSError):  # no home, and no entry for this user
        own = Path("~")
    shared = Path(tempfile.gettempdir()) / f"{CACHE_NAME}-{_user()}"
    return (own, shared) if own.is_absolute() else (shared,)


def writable_cache() -> Path:
    """The first of :func:`cache_folders` that can be written to; the first of all if none can."""
    folders = cache_folders()
    return next(filter(_can_be_written, folders), folders[0])


def _can_be_written(folder: Path) -> bool:
    probe = folder / f".{uuid.uuid4().hex}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"0")
    except OSError:
        return False
    with suppress(OSError):
        probe.unlink()
    return True


def _user() -> str:
    """A name for this user's folder beside those of others."""
    import getpass

    try:
        return "".join(c for c in getpass.getuser() if c.isalnum()) or "user"
    except (KeyError, OSError, ImportError):  # no name in the environment, and none of its number
        import os

        return str(getattr(os, "getuid", lambda: "user")())
