"""From what an instructor has (files, folders, archives, a roster) to one candidate a student.

Only regular ``.py`` files are read, each once, into memory: no link is followed, nothing is
unpacked to a disk, and no size is believed. What can't be graded becomes a candidate with a
refusal, so that one bad upload never stops a class.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from eva.errors import GradingError
from eva.grading.cohort.archives import (
    ARCHIVES,
    ArchiveEntry,
    Refused,
    archive_items,
    folder_items,
    single_item,
)
from eva.grading.cohort.handed_in import ENTRY, HandedIn, handed_in_of, refused, without_noise
from eva.grading.cohort.roster import RosterLine, read_roster

MAX_SUBMISSIONS = 5_000
MAX_CLASS_BYTES = 500_000_000


def stage(paths: Sequence[str | Path]) -> list[HandedIn]:
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
    found: list[HandedIn] = []
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


def stage_one(path: Path) -> list[HandedIn]:
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
            return [handed_in_of(path.name or path.resolve().name, str(path), folder_items(path))]
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
    return [handed_in_of(path.stem, str(path), single_item(path))]


def _wanted(entry: Path) -> bool:
    if entry.name.startswith(".") or entry.name in ("__pycache__", "__MACOSX"):
        return False
    return entry.is_dir() or entry.name.lower().endswith((".py", *ARCHIVES))


def _child(entry: Path) -> list[HandedIn]:
    """One entry of a class folder is one student's."""
    name = _archive_stem(entry.name)
    if entry.is_symlink():
        return [refused(entry.stem, str(entry), "it is a symbolic link")]
    if entry.is_dir():
        return [handed_in_of(entry.name, str(entry), folder_items(entry))]
    if name is not None:
        return [handed_in_of(name, str(entry), archive_items(entry))]
    return [handed_in_of(entry.stem, str(entry), single_item(entry))]


def _archive_stem(name: str) -> str | None:
    for ending in ARCHIVES:
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return None


def _from_archive(path: Path) -> list[HandedIn]:
    """An archive is one submission, or a class with one file or folder a student."""
    name = _archive_stem(path.name) or path.stem
    try:
        items = without_noise(archive_items(path))
    except Refused as why:
        return [refused(name, str(path), str(why))]
    while items and not any(len(item.path.parts) == 1 for item in items):
        tops = {item.path.parts[0] for item in items}
        if len(tops) > 1:
            break
        if any(item.path.name == ENTRY and len(item.path.parts) == 2 for item in items):
            break  # a single folder around one submission
        items = [_below(item) for item in items]
    tops = {item.path.parts[0] for item in items}
    if len(tops) == 1 or any(item.path.as_posix() == ENTRY for item in items):
        return [handed_in_of(name, str(path), items)]
    groups: dict[str, list[ArchiveEntry]] = {}
    for item in items:
        groups.setdefault(item.path.parts[0], []).append(item)
    found = []
    for top, members in sorted(groups.items()):
        nested = len(members[0].path.parts) > 1
        student = top if nested else PurePosixPath(top).stem
        if nested or top.endswith(".py"):
            inner = [_below(item) for item in members] if nested else members
            found.append(handed_in_of(student, f"{path}/{top}", inner))
    return found


def _below(item: ArchiveEntry) -> ArchiveEntry:
    return replace(item, path=PurePosixPath(*item.path.parts[1:]))


def _with_roster(found: list[HandedIn], path: Path) -> list[HandedIn]:
    """Give everybody their dates; who is missing, or unknown, becomes visible."""
    joined: list[HandedIn] = []
    by_student: dict[str, list[HandedIn]] = {}
    for one in found:
        by_student.setdefault(one.student, []).append(one)
    for entry in read_roster(path):
        if entry.problem is not None:
            joined.append(refused(entry.student, entry.place, entry.problem))
            continue
        mine = by_student.pop(entry.student, [])
        if entry.path:
            mine = [*mine, *_from_roster(entry, path.parent)]
        if not mine:
            mine = [refused(entry.student, entry.place, "nothing was handed in")]
        joined += [replace(one, roster=entry) for one in mine]
    for strangers in by_student.values():
        joined += [replace(one, flags=(*one.flags, "not in the roster")) for one in strangers]
    return joined


def _from_roster(entry: RosterLine, folder: Path) -> list[HandedIn]:
    """What the roster's own path names: always one submission."""
    path = folder / entry.path
    try:
        if path.is_symlink() or not path.exists():
            return [refused(entry.student, str(path), "nothing was handed in at this path")]
    except (OSError, ValueError):
        return [refused(entry.student, entry.place, "the path in the roster can't be used")]
    return [replace(one, student=entry.student) for one in _child(path)]


def _one_each(found: list[HandedIn]) -> list[HandedIn]:
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
