"""The files of a folder or an archive, listed without trusting a name, a size or a link."""

from __future__ import annotations

import os
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
MAX_ITEMS = 20_000  # entries of one folder or archive
MAX_UNPACKED = 1_000_000_000  # bytes that an archive may unpack to
MAX_MEMBER = 2_000_000  # bytes of a .py file; larger ones are listed, never read


class Refused(Exception):
    """A submission that can't be graded, and why; becomes a row of the gradebook."""


class Kind(StrEnum):
    """What an entry is."""

    FILE = "file"
    LINK = "link"
    OTHER = "device, pipe or socket"


@dataclass(frozen=True, kw_only=True)
class ArchiveEntry:
    """One entry of a tree.

    Attributes:
        path: Inside the tree, with forward slashes.
        kind: Folders themselves are not listed.
        size: In bytes, as the file system or the archive claims.
        read: Content, at most this many bytes; raises :class:`Refused` above.
    """

    path: PurePosixPath
    kind: Kind
    size: int
    read: Callable[[int], bytes]


def single_item(path: Path) -> Iterator[ArchiveEntry]:
    """The one item of a file that was named itself."""
    yield _file(path, PurePosixPath(path.name))


def folder_items(folder: Path) -> Iterator[ArchiveEntry]:
    """All entries below a folder, sorted; links are listed and never followed."""
    count = 0
    for parent, folders, names in os.walk(folder, onerror=_raise):
        folders.sort()
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        for name in sorted([*names, *links]):
            count += 1
            if count > MAX_ITEMS:
                raise Refused(f"it holds more than {MAX_ITEMS:,} files")
            path = Path(parent) / name
            yield _file(path, PurePosixPath(path.relative_to(folder).as_posix()))


def _raise(error: OSError) -> None:
    raise error


def _file(path: Path, name: PurePosixPath) -> ArchiveEntry:
    info = path.lstat()
    if stat.S_ISLNK(info.st_mode):
        kind = Kind.LINK
    else:
        kind = Kind.FILE if stat.S_ISREG(info.st_mode) else Kind.OTHER

    def read(limit: int) -> bytes:
        # The file may have been swapped since it was listed: open without following, look again.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise Refused(f"{name} is not a regular file")
            return _capped(file.read(limit + 1), limit, name)

    return ArchiveEntry(path=name, kind=kind, size=info.st_size, read=read)


def archive_items(path: Path) -> Iterator[ArchiveEntry]:
    """All entries of a zip or tar archive.

    Raises:
        Refused: It is damaged, encrypted, a bomb, or not an archive.
    """
    try:
        items = _zip_items if path.name.lower().endswith(".zip") else _tar_items
        yield from items(path)
    except Refused:
        raise
    except Exception as error:  # parsers of archives raise whatever hostile bytes lead them to
        detail = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise Refused(f"the archive can't be read: {detail}") from error


def _zip_items(path: Path) -> Iterator[ArchiveEntry]:
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
        if len(infos) > MAX_ITEMS:
            raise Refused(f"the archive holds {len(infos):,} files; at most {MAX_ITEMS:,}")
        if sum(info.file_size for info in infos) > MAX_UNPACKED:
            raise Refused(f"the archive unpacks to more than {MAX_UNPACKED:,} bytes")
        for info in infos:
            if info.is_dir():
                continue
            mode = info.external_attr >> 16
            content = b""
            kind = Kind.LINK if stat.S_ISLNK(mode) else Kind.FILE
            if kind is Kind.FILE and info.filename.endswith(".py"):
                if info.flag_bits & 1:
                    raise Refused("the archive is encrypted")
                with archive.open(info) as file:
                    content = file.read(MAX_MEMBER + 1)
            yield _member(info.filename, kind, max(info.file_size, len(content)), content)


def _tar_items(path: Path) -> Iterator[ArchiveEntry]:
    """Read as a stream, so that a member is unpacked once and a bomb is noticed on the way."""
    with tarfile.open(path, "r|*") as archive:
        count = unpacked = 0
        for info in archive:
            count, unpacked = count + 1, unpacked + info.size
            if count > MAX_ITEMS:
                raise Refused(f"the archive holds more than {MAX_ITEMS:,} files")
            if unpacked > MAX_UNPACKED:
                raise Refused(f"the archive unpacks to more than {MAX_UNPACKED:,} bytes")
            if info.isdir():
                continue
            kind = Kind.LINK if info.issym() or info.islnk() else Kind.OTHER
            content = b""
            if info.isreg():
                kind = Kind.FILE
                if info.name.endswith(".py"):
                    file = archive.extractfile(info)
                    assert file is not None, "a regular member has content"
                    content = file.read(MAX_MEMBER + 1)
            yield _member(info.name, kind, info.size, content)


def _member(name: str, kind: Kind, size: int, content: bytes) -> ArchiveEntry:
    path = PurePosixPath(name.replace("\\", "/"))
    parts = [part for part in path.parts if part != "."]
    clean = PurePosixPath(*parts)
    return ArchiveEntry(
        path=clean,
        kind=kind,
        size=size,
        read=lambda limit: _capped(content, min(limit, MAX_MEMBER), clean),
    )


def _capped(content: bytes, limit: int, name: PurePosixPath) -> bytes:
    if len(content) > limit:
        raise Refused(f"{name} has more than {limit:,} bytes")
    return content
