"""What was handed in, found by name alone.

An id comes from the roster, or from the name that an instructor's own folder or archive gives to
what lies at its top. What lies inside of one student's folder or archive names nobody.
"""

from __future__ import annotations

import re
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
class Named:
    """What a course system's name of a file or folder says.

    Attributes:
        id: Of the student, in that system; empty where the name itself is the id.
        name: Of the student; empty where it is not in the name.
        attempt: Sorts attempts of one student by time; empty where there is one.
        file: Name that the student gave the file; empty for a folder.
        receipt: It is a list of what was handed in, and no work.
    """

    id: str = ""
    name: str = ""
    attempt: str = ""
    file: str = ""
    receipt: bool = False


NOT_NAMED = Named()


@dataclass(frozen=True, kw_only=True)
class Upload:
    """One file, folder or archive that was handed in.

    Attributes:
        path: Where it is.
        line: Of the roster, where that names this path; None where its name is the id.
        of_class: Whether what lies at its top is a student each.
        if_downloaded: Only where names at its top have the form of a course system.
        top: Which of these this is; empty for the whole upload.
        below: Folder of the archive that this lies in; empty at its root.
        entries: What lies in it, seen from there; nothing before it was opened.
        refusal: Why it can't be opened; None where it can.
        said: What its name says where that has the form of a course system.
    """

    path: Path
    line: RosterLine | None = None
    of_class: bool = False
    if_downloaded: bool = False
    top: str = ""
    below: str = ""
    entries: tuple[ArchiveEntry, ...] = ()
    refusal: str | None = None
    said: Named = NOT_NAMED

    @property
    def top_name(self) -> str:
        """Name that the class's folder or archive gives it, with its ending."""
        return self.top or self.path.name

    @property
    def around(self) -> str:
        """Name of the folder or archive that it lies in."""
        if not self.top:
            return self.path.parent.name
        return PurePath(self.below).name or student_of(PurePath(self.path.name))

    @property
    def student(self) -> str:
        """Id; of a whole class, the archive's name."""
        if self.line is not None:
            return self.line.student
        if self.said.id:
            return self.said.id
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
            archive a student. Several are a submission each, or a course system's download.
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
        theirs = Upload(path=path).student in known
        alone = len(paths) == 1 and not theirs
        archive = path.name.lower().endswith(ARCHIVES)
        folder = path.is_dir() and not path.is_symlink()
        if folder and (alone or (not theirs and _holds_download(path))):
            found += _in_folder(path)
        elif alone and not archive and path.suffix.lower() not in ENDINGS:
            raise GradingError(
                f"{path} is neither a .py file, a notebook, a folder, an archive nor a roster.",
                f"Known: .py, .ipynb, .csv, {', '.join(ARCHIVES)}.",
            )
        else:
            is_class = archive and not theirs
            found.append(Upload(path=path, of_class=is_class, if_downloaded=is_class and not alone))
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


def is_download(paths: Sequence[PurePath], around: str) -> bool:
    """Whether a course system has named these, which lie in a folder or archive ``around``."""
    count = sum(_DOWNLOADED.search(path.name) is not None for path in paths)
    return 2 * count > len(paths) or (around.endswith("-submissions") and len(paths) > 1)


def _holds_download(path: Path) -> bool:
    try:
        return is_download(list(path.iterdir()), path.name)
    except OSError:  # which is said where it is read
        return False


_DOWNLOADED = re.compile(
    r"_\d+_\d+_.+|_attempt_\d{4}-|_assignsubmission_|^\d+-\d+ ?- |^submission_(\d+$|metadata)"
)


def is_noise(path: PurePath) -> bool:
    """Whether a file manager, an editor or an interpreter has put this beside students' files."""
    return path.name.startswith("._") or not _NOISE.isdisjoint(map(str.lower, path.parts))


def _in_folder(path: Path) -> list[Upload]:
    """A folder with submission.py is one submission; else all that lies in it is one each.

    A folder that holds a single archive or a single folder is what a download was unpacked to.
    """
    try:
        inside = sorted(path.iterdir())
    except OSError as error:
        raise GradingError(f"{path} can't be listed: {error.strerror}.") from error
    if any(each.name.lower() in ENTRIES for each in inside):
        return [Upload(path=path)]
    real = [each for each in inside if not is_noise(PurePath(each.name))]
    if len(real) == 1 and not real[0].is_symlink():
        if real[0].is_dir():
            deeper = _in_folder(real[0])
            if is_download([one.path for one in deeper], real[0].name):
                return deeper
        elif real[0].name.lower().endswith(ARCHIVES):
            return [Upload(path=real[0], of_class=True, if_downloaded=True)]
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
