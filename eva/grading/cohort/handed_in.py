"""One student's work, read from the files that were handed in: a few small regular ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from eva.grading.cohort.archives import ArchiveEntry, Kind, Refused
from eva.grading.cohort.roster import RosterLine
from eva.json_types import Json

ENTRY = "submission.py"
MAX_FILES = 50  # .py files of one student
MAX_BYTES = 2_000_000  # of one student's .py files together
_IGNORED = {"__pycache__", "__MACOSX"}


@dataclass(frozen=True, kw_only=True)
class HandedIn:
    """One student's work as it was handed in.

    Attributes:
        student: Id: of the roster, or the name of the file or folder. Text of a stranger.
        source: Where it was found, as the instructor named it.
        files: Path inside the submission to content; the entry is :data:`ENTRY`.
        refusal: Why it can't be graded; None where it can.
        flags: What an instructor should know, such as a student whom the roster lacks.
        roster: Dates and names from the roster.
    """

    student: str
    source: str
    files: dict[str, bytes] = field(default_factory=dict)
    refusal: str | None = None
    flags: tuple[str, ...] = ()
    roster: RosterLine | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of names and content of all files; empty for what was refused."""
        if self.refusal is not None:
            return ""
        digest = hashlib.sha256()
        for name, content in sorted(self.files.items()):
            for part in (name.encode(), content):
                digest.update(len(part).to_bytes(8, "big") + part)
        return digest.hexdigest()

    def to_json(self) -> dict[str, Json]:
        """Everything but the content, for the journal."""
        return {
            "student": self.student,
            "source": self.source,
            "digest": self.digest,
            "refusal": self.refusal,
            "flags": list(self.flags),
            "roster": None if self.roster is None else self.roster.to_json(),
        }


def handed_in_of(student: str, source: str, items: Iterable[ArchiveEntry]) -> HandedIn:
    """Read one student's files; anything but a few small regular files is a refusal."""
    student, source = printable(student), printable(source)
    try:
        files = _read(without_noise(items))
    except Refused as why:
        return refused(student, source, str(why))
    except OSError as error:
        return refused(student, source, f"it can't be read: {error.strerror}")
    return HandedIn(student=student, source=source, files=files)


def _read(items: list[ArchiveEntry]) -> dict[str, bytes]:
    python = [item for item in items if item.path.suffix == ".py" or item.kind is Kind.LINK]
    for item in items:
        if item.path.is_absolute() or ".." in item.path.parts:
            raise Refused(f"the path {printable(str(item.path))} leads out of the submission")
    for item in python:
        if item.kind is not Kind.FILE:
            raise Refused(f"{printable(str(item.path))} is a {item.kind.value}, not a regular file")
    if not python:
        raise Refused("it holds no .py file")
    if len(python) > MAX_FILES:
        raise Refused(f"it holds {len(python):,} .py files; at most {MAX_FILES} are allowed")
    total = sum(item.size for item in python)
    if total > MAX_BYTES:
        raise Refused(f"it has {total:,} bytes of Python; at most {MAX_BYTES:,} are allowed")
    entry = _find_entry(python)
    root = entry.path.parent
    files: dict[str, bytes] = {}
    for item in python:
        if root in item.path.parents:
            name = ENTRY if item is entry else str(item.path.relative_to(root))
            if name in files:
                raise Refused(f"it holds {printable(name)} twice")
            files[name] = item.read(MAX_BYTES)
            if sum(map(len, files.values())) > MAX_BYTES:
                raise Refused(f"it has more than {MAX_BYTES:,} bytes of Python")
    return {printable(name): content for name, content in files.items()}


def _find_entry(python: list[ArchiveEntry]) -> ArchiveEntry:
    """``submission.py`` that lies highest, or the only file."""
    named = [item for item in python if item.path.name == ENTRY]
    depth = min((len(item.path.parts) for item in named), default=0)
    named = [item for item in named if len(item.path.parts) == depth]
    if len(named) == 1:
        return named[0]
    if named:
        raise Refused(f"it holds {len(named)} files {ENTRY}, and none lies above the others")
    if len(python) == 1:
        return python[0]
    raise Refused(f"it holds {len(python)} .py files, and none is {ENTRY}")


def without_noise(items: Iterable[ArchiveEntry]) -> list[ArchiveEntry]:
    """Leave out what file managers and interpreters put beside a student's files."""
    return [
        item
        for item in items
        if ".." in item.path.parts
        or (
            item.path.parts
            and not any(part in _IGNORED or part.startswith(".") for part in item.path.parts)
        )
    ]


def refused(student: str, source: str, why: str) -> HandedIn:
    """A candidate that can't be graded."""
    return HandedIn(student=printable(student), source=printable(source), refusal=why)


def printable(name: str) -> str:
    """A name that can be written as UTF-8, whatever bytes a file system or archive held."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
