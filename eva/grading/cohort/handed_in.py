"""One student's work, read from what was handed in: a few small .py files, or a notebook."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from eva.errors import SubmissionError
from eva.grading.cohort.archives import MAX_BYTES, reason_of
from eva.grading.cohort.roster import RosterLine
from eva.grading.cohort.text import printable
from eva.grading.cohort.unpack import MAX_NOTEBOOK, Refused
from eva.grading.cohort.uploads import NOT_NAMED, ArchiveEntry, EntryKind, Named, Upload
from eva.grading.sandbox.sources import why_not_writable
from eva.json_types import Json
from eva.notebook import ENDING, Notebook, parse_notebook
from eva.submission import ENTRIES

MAX_FILES = 50  # .py files of one student
_NAMED = 3  # files that are named in a refusal; more are counted


@dataclass(frozen=True, kw_only=True)
class HandedIn:
    """One student's work as it was handed in; its texts can be printed and are not endless.

    Attributes:
        student: Id: of the roster, or the name of the file or folder. Text of a stranger.
        source: Where it was found, as the instructor named it.
        files: Path inside the submission to content; the entry is ``submission.py``, or
            ``submission.ipynb`` without outputs.
        refusal: Why it can't be graded; None where it can.
        flags: What an instructor should know, such as a student whom the roster lacks.
        roster: Dates and names from the roster.
        said: The student's name, and which attempt it is, where a course system's download has it.
    """

    student: str
    source: str
    files: dict[str, bytes] = field(default_factory=dict)
    refusal: str | None = None
    flags: tuple[str, ...] = ()
    roster: RosterLine | None = None
    said: Named = NOT_NAMED

    def __post_init__(self) -> None:
        for name in ("student", "source", "refusal"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, printable(getattr(self, name)))
        object.__setattr__(self, "student", unicodedata.normalize("NFC", self.student))

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
            "attempt": self.said.attempt,
        }


def read_upload(upload: Upload) -> HandedIn:
    """Read an opened upload; anything but a few small regular files is a refusal."""
    empty = HandedIn(student=upload.student, source=upload.source, said=upload.said)
    try:
        if upload.refusal is not None:
            raise Refused(upload.refusal)
        return replace(empty, files=_files(upload.entries))
    except (Refused, OSError) as why:
        return replace(empty, refusal=reason_of(why))


def _files(entries: Sequence[ArchiveEntry]) -> dict[str, bytes]:
    """Python files by their paths beside ``submission.py``, or beside the only one."""
    python = [entry for entry in entries if _is_python(entry) or entry.kind is EntryKind.LINK]
    for entry in entries:
        if entry.path.is_absolute() or ".." in entry.path.parts:
            raise Refused(f"the path {entry.path} leads out of the submission")
    for entry in python:
        if entry.kind is not EntryKind.FILE:
            raise Refused(f"{entry.path} is a {entry.kind.value}, not a regular file")
    notebooks = [entry for entry in entries if _is_notebook(entry)]
    if not python and not notebooks:
        raise Refused(f"it holds no .py file{_only(entries)}")
    if len(python) > MAX_FILES:
        raise Refused(f"it holds {len(python):,} .py files; at most {MAX_FILES} are allowed")
    total = sum(entry.size for entry in python)
    if total > MAX_BYTES:
        raise Refused(f"it has {total:,} bytes of Python; at most {MAX_BYTES:,} are allowed")
    first, read = _first(python, notebooks)
    files = {} if read is None else {ENTRIES[1]: read.to_bytes()}
    for entry in python:
        if first.path.parent in entry.path.parents:
            path = entry.path.relative_to(first.path.parent).with_suffix(".py")
            name = ENTRIES[0] if entry is first else str(path)
            if name in files:
                raise Refused(f"it holds {name} twice")
            files[name] = entry.read(MAX_BYTES)
    if sum(map(len, files.values())) > MAX_BYTES:
        raise Refused(f"it has more than {MAX_BYTES:,} bytes of Python")
    if (why := why_not_writable(files)) is not None:
        raise Refused(why)
    return files


def _is_python(entry: ArchiveEntry) -> bool:
    return entry.path.suffix.lower() == ".py"


def _is_notebook(entry: ArchiveEntry) -> bool:
    return entry.path.suffix.lower() == ENDING and entry.kind is EntryKind.FILE


def _first(
    python: list[ArchiveEntry], notebooks: list[ArchiveEntry]
) -> tuple[ArchiveEntry, Notebook | None]:
    """The file to start from, with its cells where it is a notebook.

    That is ``submission.py`` or ``submission.ipynb`` that lies highest; the only notebook with
    marked cells; the only .py file; the only notebook.
    """
    for name, entries in zip(ENTRIES, (python, notebooks), strict=True):
        named = [entry for entry in entries if entry.path.name.lower() == name]
        depth = min((len(entry.path.parts) for entry in named), default=0)
        named = [entry for entry in named if len(entry.path.parts) == depth]
        if len(named) == 1:
            return named[0], _read(named[0]) if entries is notebooks else None
        if named:
            raise Refused(f"it holds {len(named)} files {name}, and none lies above the others")
    if len(notebooks) == 1:
        try:
            read = _read(notebooks[0])
        except Refused:
            if not python:
                raise
        else:
            if read.marked or not python:
                return notebooks[0], read
    if len(python) == 1:
        return python[0], None
    if python:
        raise Refused(f"it holds {len(python)} .py files, and none is {ENTRIES[0]}")
    raise Refused(f"it holds {len(notebooks)} notebooks, and none is {ENTRIES[1]}")


def _read(entry: ArchiveEntry) -> Notebook:
    try:
        return parse_notebook(entry.read(MAX_NOTEBOOK), str(entry.path))
    except SubmissionError as error:
        raise Refused(error.problem) from error


def _only(entries: Sequence[ArchiveEntry]) -> str:
    """What is there in place of a .py file, and what to do about it."""
    if not entries:
        return ""
    names = [str(entry.path) for entry in entries]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    endings = {entry.path.suffix.lower() for entry in entries}
    advice = next((words for ending, words in _ADVICE.items() if ending in endings), "")
    return f", only {', '.join(names[:_NAMED])}{more}{advice}"


_ADVICE = {
    **dict.fromkeys(
        (".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz"),
        ". Of archives, one .zip or .tar with the files in it can be opened",
    ),
}
