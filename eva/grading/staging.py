"""From what an instructor has (files, folders, archives, a roster) to one candidate a student.

Only regular ``.py`` files are read, each once, into memory: no link is followed, nothing is
unpacked to a disk, and no size is believed. What can't be graded becomes a candidate with a
refusal, so that one bad upload never stops a class.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from eva.errors import GradingError
from eva.grading.roster import Entry, read_roster
from eva.grading.trees import (
    ARCHIVES,
    Item,
    Kind,
    Refused,
    archive_items,
    folder_items,
    single_item,
)
from eva.grading.verdict import Json

ENTRY = "submission.py"
MAX_SUBMISSIONS = 5_000
MAX_FILES = 50  # .py files of one student
MAX_BYTES = 2_000_000  # of one student's .py files together
MAX_CLASS_BYTES = 500_000_000
_IGNORED = {"__pycache__", "__MACOSX"}


@dataclass(frozen=True, kw_only=True)
class Candidate:
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
    roster: Entry | None = None

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


def stage(paths: Sequence[str | Path]) -> list[Candidate]:
    """Collect the candidates of a class, in a fixed order.

    Args:
        paths: Submissions (a .py file, a folder or archive with submission.py), folders or
            archives of submissions, and at most one roster (a .csv file).

    Raises:
        GradingError: A path is not there, nothing was found, or the class is too large.
    """
    rosters = [Path(path) for path in paths if Path(path).suffix.lower() == ".csv"]
    if len(rosters) > 1:
        raise GradingError(f"one roster is enough, {len(rosters)} were given.")
    found: list[Candidate] = []
    for path in paths:
        if Path(path) not in rosters:
            found += stage_one(Path(path))
    if rosters:
        found = _with_roster(found, rosters[0])
    found = _one_each(found)
    if not found:
        raise GradingError(
            f"no submission in {', '.join(map(str, paths))}.",
            "Name .py files, folders or archives of them, or a roster with a column `path`.",
        )
    if len(found) > MAX_SUBMISSIONS:
        raise GradingError(
            f"{len(found):,} submissions were found; at most {MAX_SUBMISSIONS:,} are graded at "
            "once.",
            "Is this the right folder? Otherwise grade it in parts.",
        )
    if sum(len(content) for one in found for content in one.files.values()) > MAX_CLASS_BYTES:
        raise GradingError(
            f"the class holds more than {MAX_CLASS_BYTES:,} bytes of Python.", "Grade it in parts."
        )
    return sorted(found, key=lambda one: (one.student, one.source))


def stage_one(path: Path) -> list[Candidate]:
    """Candidates of one path; a folder or archive may hold many.

    Raises:
        GradingError: It is not there, or can't be listed.
    """
    if not path.exists() and not path.is_symlink():
        raise GradingError(f"there is no {path}.", f"You are in {Path.cwd()}.")
    if path.is_dir() and not path.is_symlink():
        try:
            entries = sorted(path.iterdir())
        except OSError as error:
            raise GradingError(f"{path} can't be listed: {error.strerror}.") from error
        if any(entry.name == ENTRY for entry in entries):
            return [_from_items(path.name or path.resolve().name, str(path), folder_items(path))]
        if len(entries) > 4 * MAX_SUBMISSIONS:
            raise GradingError(
                f"{path} holds {len(entries):,} entries; at most {MAX_SUBMISSIONS:,} submissions "
                "are graded at once.",
                "Is this the right folder?",
            )
        return [one for entry in entries if _wanted(entry) for one in _child(entry)]
    if path.name.lower().endswith(ARCHIVES):
        return _from_archive(path)
    if path.suffix != ".py":
        raise GradingError(
            f"{path} is neither a .py file, a folder, an archive nor a roster.",
            f"Known: .py, .csv, {', '.join(ARCHIVES)}.",
        )
    return [_from_items(path.stem, str(path), single_item(path))]


def _wanted(entry: Path) -> bool:
    if entry.name.startswith(".") or entry.name in _IGNORED:
        return False
    return entry.is_dir() or entry.name.lower().endswith((".py", *ARCHIVES))


def _child(entry: Path) -> list[Candidate]:
    """One entry of a class folder is one student's."""
    name = _archive_stem(entry.name)
    if entry.is_symlink():
        return [_refused(entry.stem, str(entry), "it is a symbolic link")]
    if entry.is_dir():
        return [_from_items(entry.name, str(entry), folder_items(entry))]
    if name is not None:
        return [_from_items(name, str(entry), archive_items(entry))]
    return [_from_items(entry.stem, str(entry), single_item(entry))]


def _archive_stem(name: str) -> str | None:
    for ending in ARCHIVES:
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return None


def _from_archive(path: Path) -> list[Candidate]:
    """An archive is one submission, or a class with one file or folder a student."""
    name = _archive_stem(path.name) or path.stem
    try:
        items = _without_noise(archive_items(path))
    except Refused as refused:
        return [_refused(name, str(path), str(refused))]
    while items and not any(len(item.path.parts) == 1 for item in items):
        tops = {item.path.parts[0] for item in items}
        if len(tops) > 1:
            break
        if any(item.path.name == ENTRY and len(item.path.parts) == 2 for item in items):
            break  # a single folder around one submission
        items = [_below(item) for item in items]
    tops = {item.path.parts[0] for item in items}
    if len(tops) == 1 or any(item.path.as_posix() == ENTRY for item in items):
        return [_from_items(name, str(path), items)]
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(item.path.parts[0], []).append(item)
    found = []
    for top, members in sorted(groups.items()):
        nested = len(members[0].path.parts) > 1
        student = top if nested else PurePosixPath(top).stem
        if nested or top.endswith(".py"):
            inner = [_below(item) for item in members] if nested else members
            found.append(_from_items(student, f"{path}/{top}", inner))
    return found


def _below(item: Item) -> Item:
    return replace(item, path=PurePosixPath(*item.path.parts[1:]))


def _without_noise(items: Iterable[Item]) -> list[Item]:
    return [
        item
        for item in items
        if ".." in item.path.parts
        or (
            item.path.parts
            and not any(part in _IGNORED or part.startswith(".") for part in item.path.parts)
        )
    ]


def _from_items(student: str, source: str, items: Iterable[Item]) -> Candidate:
    """Read one student's files; anything but a few small regular files is a refusal."""
    student, source = _text(student), _text(source)
    try:
        files = _read(_without_noise(items))
    except Refused as refused:
        return _refused(student, source, str(refused))
    except OSError as error:
        return _refused(student, source, f"it can't be read: {error.strerror}")
    return Candidate(student=student, source=source, files=files)


def _read(items: list[Item]) -> dict[str, bytes]:
    python = [item for item in items if item.path.suffix == ".py" or item.kind is Kind.LINK]
    for item in items:
        if item.path.is_absolute() or ".." in item.path.parts:
            raise Refused(f"the path {_text(str(item.path))} leads out of the submission")
    for item in python:
        if item.kind is not Kind.FILE:
            raise Refused(f"{_text(str(item.path))} is a {item.kind.value}, not a regular file")
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
                raise Refused(f"it holds {_text(name)} twice")
            files[name] = item.read(MAX_BYTES)
            if sum(map(len, files.values())) > MAX_BYTES:
                raise Refused(f"it has more than {MAX_BYTES:,} bytes of Python")
    return {_text(name): content for name, content in files.items()}


def _find_entry(python: list[Item]) -> Item:
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


def _with_roster(found: list[Candidate], path: Path) -> list[Candidate]:
    """Give everybody their dates; who is missing, or unknown, becomes visible."""
    joined: list[Candidate] = []
    by_student: dict[str, list[Candidate]] = {}
    for one in found:
        by_student.setdefault(one.student, []).append(one)
    for entry in read_roster(path):
        if entry.problem is not None:
            joined.append(_refused(entry.student, entry.place, entry.problem))
            continue
        mine = by_student.pop(entry.student, [])
        if entry.path:
            mine = [*mine, *_from_roster(entry, path.parent)]
        if not mine:
            mine = [_refused(entry.student, entry.place, "nothing was handed in")]
        joined += [replace(one, roster=entry) for one in mine]
    for strangers in by_student.values():
        joined += [replace(one, flags=(*one.flags, "not in the roster")) for one in strangers]
    return joined


def _from_roster(entry: Entry, folder: Path) -> list[Candidate]:
    """What the roster's own path names: always one submission."""
    path = folder / entry.path
    try:
        if path.is_symlink() or not path.exists():
            return [_refused(entry.student, str(path), "nothing was handed in at this path")]
    except (OSError, ValueError):
        return [_refused(entry.student, entry.place, "the path in the roster can't be used")]
    return [replace(one, student=entry.student) for one in _child(path)]


def _one_each(found: list[Candidate]) -> list[Candidate]:
    """Where several claim one id, a person must say which counts: none is graded."""
    count = Counter(one.student for one in found)
    sources = {
        student: ", ".join(sorted(one.source for one in found if one.student == student))
        for student, times in count.items()
        if times > 1
    }
    return [
        one
        if one.student not in sources
        else replace(
            one, files={}, refusal=f"several submissions have this id: {sources[one.student]}"
        )
        for one in found
    ]


def _refused(student: str, source: str, why: str) -> Candidate:
    return Candidate(student=_text(student), source=_text(source), refusal=why)


def _text(name: str) -> str:
    """A name that can be written as UTF-8, whatever bytes a file system or archive held."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
