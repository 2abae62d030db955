"""What lies in an upload, listed without trusting a name, a size or a link."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from eva.grading.cohort import unpack
from eva.grading.cohort.unpack import MAX_ITEMS, Refused
from eva.grading.cohort.uploads import (
    ARCHIVES,
    ArchiveEntry,
    EntryKind,
    Upload,
    is_download,
    is_noise,
)
from eva.submission import ENTRIES

MAX_BYTES = 2_000_000  # of one student's .py files together
MAX_CLASS_BYTES = 500_000_000  # of all students' .py files
_OF_A_CLASS, _OF_ONE = MAX_CLASS_BYTES, MAX_BYTES + unpack.MAX_NOTEBOOK  # in an archive
_PATIENCE = 60.0  # seconds for an archive on a machine that is busy; its computing has less


def open_upload(upload: Upload) -> Iterator[Upload]:
    """List an upload: itself with its entries, or of a class's archive one a student.

    What can't be listed is refused; nothing is raised.
    """
    try:
        if upload.refusal is not None:
            raise Refused(upload.refusal)
        entries = [entry for entry in _entries(upload) if _counts(entry)]
    except (Refused, OSError) as why:
        yield replace(upload, refusal=reason_of(why))
        return
    if upload.of_class:
        yield from _each(upload, entries)
    else:
        yield replace(upload, entries=tuple(entries))


def reason_of(why: Exception) -> str:
    """Why something was refused or can't be read."""
    return f"it can't be read: {why.strerror}" if isinstance(why, OSError) else str(why)


def _counts(entry: ArchiveEntry) -> bool:
    return ".." in entry.path.parts or bool(entry.path.parts and not is_noise(entry.path))


def _each(upload: Upload, entries: list[ArchiveEntry]) -> Iterator[Upload]:
    """One for all that lies at the top of a class, or a single one."""
    try:
        around = os.path.commonpath([entry.path.parent for entry in entries])
    except ValueError:  # there are none, or only some begin at the root
        yield replace(upload, entries=tuple(entries))
        return
    tops: dict[str, list[ArchiveEntry]] = {}
    for entry in entries:
        path = entry.path.relative_to(around)
        tops.setdefault(path.parts[0], []).append(replace(entry, path=path))
    name = os.path.basename(around) or upload.student
    made = not upload.if_downloaded or is_download([PurePosixPath(top) for top in tops], name)
    if len(tops) == 1 or any(top.lower() in ENTRIES for top in tops) or not made:
        yield replace(upload, entries=tuple(entries))
        return
    for top in sorted(tops):
        yield replace(upload, top=top, below=around, entries=tuple(tops[top]))


def _entries(upload: Upload) -> Iterator[ArchiveEntry]:
    """All entries of a folder or archive, or the one that a file is; no link is followed.

    Raises:
        Refused: It is damaged, encrypted, a bomb, or no archive.
        OSError: It can't be listed.
    """
    path = upload.path
    mode = path.lstat().st_mode
    if stat.S_ISDIR(mode):
        yield from _in_folder(upload)
    elif stat.S_ISREG(mode) and path.name.lower().endswith(ARCHIVES):
        yield from _in_archive(path, _OF_A_CLASS if upload.of_class else _OF_ONE)
    else:
        yield _on_disk(path, upload)


def _in_folder(upload: Upload) -> Iterator[ArchiveEntry]:
    """Folder by folder, sorted in each."""
    paths, count = [upload.path], 0
    while paths:
        for path in sorted(paths.pop().iterdir()):
            if path.is_dir() and not path.is_symlink():
                paths.append(path)
                continue
            count += 1
            if count > MAX_ITEMS:
                raise Refused(f"it holds more than {MAX_ITEMS:,} files")
            yield from _with_inner(path, upload)


def _with_inner(path: Path, upload: Upload) -> Iterator[ArchiveEntry]:
    """A file; of an archive that can be opened, what lies in it below its name."""
    entry = _on_disk(path, upload)
    if entry.kind is EntryKind.FILE and path.name.lower().endswith(ARCHIVES):
        try:
            found = list(_in_archive(path, MAX_BYTES))
        except (Refused, OSError):  # then it is a file like any other, and named in the refusal
            found = []
        for inner in found:
            yield replace(inner, path=entry.path / inner.path)
        if found:
            return
    yield entry


def _on_disk(path: Path, upload: Upload) -> ArchiveEntry:
    info = path.lstat()
    below = path.name if path == upload.path else path.relative_to(upload.path).as_posix()
    inside = PurePosixPath(below)
    if stat.S_ISLNK(info.st_mode):
        kind = EntryKind.LINK
    else:
        kind = EntryKind.FILE if stat.S_ISREG(info.st_mode) else EntryKind.OTHER

    def read(limit: int) -> bytes:
        # The file may have been swapped since it was listed: open without following, look again.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise Refused(f"{inside} is not a regular file")
            return _capped(file.read(limit + 1), limit, inside)

    return ArchiveEntry(path=inside, kind=kind, size=info.st_size, read=read)


def _in_archive(path: Path, most: int) -> Iterator[ArchiveEntry]:
    """What a process with limits found, which was given the file's name and nothing else."""
    limits = map(str, (most, unpack.SECONDS, unpack.MEMORY))
    command = [sys.executable, "-I", "-S", unpack.__file__, str(path), *limits]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE
        )
    except subprocess.TimeoutExpired:
        raise Refused(f"it was not unpacked within {_PATIENCE:g} s") from None
    found = io.BytesIO(done.stdout)
    while line := found.readline():
        value = json.loads(line)
        if "end" in value:
            if value["end"]:
                raise Refused(value["end"])
            return
        yield _member(value, found.read(value["bytes"]))
    raise Refused(f"unpacking it takes more than {unpack.SECONDS} s, or breaks what unpacks it")


def _member(value: dict[str, object], content: bytes) -> ArchiveEntry:
    path = PurePosixPath(str(value["name"]).replace("\\", "/"))
    clean = PurePosixPath(*(part for part in path.parts if part != "."))

    def read(limit: int) -> bytes:
        if not value["read"]:
            raise Refused(f"the archive holds too much before {clean}")
        return _capped(content, min(limit, unpack.most_of(str(clean))), clean)

    size = value["size"]
    assert isinstance(size, int), "our own process wrote it"
    return ArchiveEntry(path=clean, kind=EntryKind(str(value["kind"])), size=size, read=read)


def _capped(content: bytes, limit: int, name: PurePosixPath) -> bytes:
    if len(content) > limit:
        raise Refused(f"{name} has more than {limit:,} bytes")
    return content
