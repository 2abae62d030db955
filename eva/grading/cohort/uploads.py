"""What was handed in, found by name alone.

An id comes from the roster, or from the name that an instructor's own folder or archive gives to
what lies at its top. What lies inside of one student's folder or archive names nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePath, PurePosixPath

from eva.errors import GradingError
from eva.grading.cohort.roster import RosterLine
from eva.submission import ENDINGS, ENTRIES

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
MAX_SUBMISSIONS = 5_000
_OTHERS = (".txt", ".md", ".pdf", ".docx", ".rar", ".7z", ".gz", ".pt", ".pth")
_ENDINGS = (*ENDINGS, *ARCHIVES, *_OTHERS)  # which are no part of an id
_NOISE = {"__pycache__", "__macosx", ".ds_store", "thumbs.db", "desktop.ini"}
_NOISE |= {".git", ".ipynb_checkpoints", ".venv", ".idea", ".vscode"}


class EntryKind(StrEnum):
    """What an entry is."""

    FILE = "file"
    LINK = "link"
    OTHER = "device, pipe or socket"


@dataclass(frozen=True, kw_only=True)
class ArchiveEntry:
    """One entry of a folder or archive.

    Attributes:
        path: Inside it, with forward slashes.
        kind: Folders themselves are not listed.
        size: In bytes, as the file system or the archive claims.
        read: Content, at most this many bytes; raises ``Refused`` above.
    """

    path: PurePosixPath
    kind: EntryKind
    size: int
    read: Callable[[int], bytes]


@dataclass(frozen=True, kw_only=True)
class Upload:
    """One file, folder or archive that was handed in.

    Attributes:
        path: Where it is.
        line: Of the roster, where that names this path; None where its name is the id.
        of_class: Whether what lies at its top is a student each.
        top: Which of these this is; empty for the whole upload.
        entries: What lies in it, seen from there; nothing before it was opened.
        refusal: Why it can't be opened; None where it can.
    """

    path: Path
    line: RosterLine | None = None
    of_class: bool = False
    top: str = ""
    entries: tuple[ArchiveEntry, ...] = ()
    refusal: str | None = None

    @property
    def student(self) -> str:
        """Id; of a whole class, the archive's name."""
        if self.line is not None:
            return self.line.student
        if not self.top:
            return student_of(self.path)
        folder = len(self.entries[0].path.parts) > 1
        return self.top if folder else student_of(PurePath(self.top))

    @property
    def source(self) -> str:
        """Where it was found, as the instructor named it."""
        return f"{self.path}/{self.top}" if self.top else str(self.path)


def find_uploads(paths: Sequence[Path], lines: Sequence[RosterLine], home: Path) -> list[Upload]:
    """Everything that was handed in.

    Args:
        paths: One path is a submission or a class: a folder or archive with a file, folder or
            archive a student. Several are a submission each.
        lines: Of the roster; their paths are a submission each too.
        home: Folder that the roster's paths start from.

    Raises:
        GradingError: A path is not there, can't be listed, or is nothing that can be graded; or
            there are too many.
    """
    found = [
        Upload(path=home / line.path, line=line, refusal=_why_not(home / line.path))
        for line in lines
        if line.path and line.problem is None
    ]
    known = {line.student for line in lines}
    for path in paths:
        if not path.exists() and not path.is_symlink():
            raise GradingError(f"there is no {path}.", f"You are in {Path.cwd()}.")
        alone = len(paths) == 1 and Upload(path=path).student not in known
        archive = path.name.lower().endswith(ARCHIVES)
        if alone and path.is_dir() and not path.is_symlink():
            found += _in_folder(path)
        elif alone and not archive and path.suffix.lower() not in ENDINGS:
            raise GradingError(
                f"{path} is neither a .py file, a notebook, a folder, an archive nor a roster.",
                f"Known: .py, .ipynb, .csv, {', '.join(ARCHIVES)}.",
            )
        else:
            found.append(Upload(path=path, of_class=alone and archive))
    if len(found) > MAX_SUBMISSIONS:
        raise GradingError(
            f"{len(found):,} submissions were found; at most {MAX_SUBMISSIONS:,} are graded at "
            "once.",
            "Is this the right folder? Otherwise grade it in parts.",
        )
    return found


def student_of(path: PurePath) -> str:
    """Id that a file, folder or archive gives: its name, without the ending of a submission.

    Example:
        >>> [student_of(PurePath(p)) for p in ("hw/anna.py", "bert.tar.gz", "c.d", "notes.txt")]
        ['anna', 'bert', 'c.d', 'notes']
    """
    name = path.name or Path(path).resolve().name
    if isinstance(path, Path) and path.is_dir():
        return name
    ending = next((end for end in _ENDINGS if name.lower().endswith(end)), "")
    return name[: len(name) - len(ending)] or name


def is_noise(path: PurePath) -> bool:
    """Whether a file manager, an editor or an interpreter has put this beside students' files."""
    return path.name.startswith("._") or not _NOISE.isdisjoint(map(str.lower, path.parts))


def _in_folder(path: Path) -> list[Upload]:
    """A folder with submission.py is one submission; else all that lies in it is one each."""
    try:
        inside = sorted(path.iterdir())
    except OSError as error:
        raise GradingError(f"{path} can't be listed: {error.strerror}.") from error
    if any(each.name.lower() in ENTRIES for each in inside):
        return [Upload(path=path)]
    return [
        Upload(path=each, refusal="it is a symbolic link" if each.is_symlink() else None)
        for each in inside
        if not is_noise(PurePath(each.name))
    ]


def _why_not(path: Path) -> str | None:
    """Why a path of the roster can't be opened."""
    try:
        missing = path.is_symlink() or not path.exists()
    except (OSError, ValueError):
        return "the path in the roster can't be used"
    return "nothing was handed in at this path" if missing else None
