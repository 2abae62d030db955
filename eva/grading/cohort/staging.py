"""From what an instructor has (files, folders, archives, a roster) to one line a student.

Only regular ``.py`` files are read, each once, into memory: no link is followed, nothing is
unpacked to a disk, and no size is believed. What can't be graded becomes a line with a refusal, so
that one bad upload never stops a class, and nothing that was handed in vanishes.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, tzinfo
from enum import StrEnum
from pathlib import Path

from eva.errors import GradingError
from eva.grading.cohort.archives import MAX_BYTES, MAX_CLASS_BYTES, open_upload
from eva.grading.cohort.handed_in import HandedIn, read_upload
from eva.grading.cohort.roster import RosterLine, read_roster
from eva.grading.cohort.systems import METADATA, identify
from eva.grading.cohort.unpack import Refused
from eva.grading.cohort.uploads import MAX_SUBMISSIONS, NOT_NAMED, Upload, find_uploads


class Attempt(StrEnum):
    """Which of several attempts of one student counts."""

    LAST = "last"
    BEST = "best"


def stage(
    paths: Sequence[str | Path],
    *,
    attempt: Attempt = Attempt.LAST,
    columns: Mapping[str, str] | None = None,
    zone: tzinfo = UTC,
) -> list[HandedIn]:
    """Collect what a class has handed in, in a fixed order.

    Args:
        paths: A folder or an archive of submissions, also as a course system gives it; or
            submissions (a .py file, a folder or archive with submission.py); and at most one
            roster (a .csv file).
        attempt: Which one counts where a download holds several of one student.
        columns: Of the roster; see :func:`~eva.grading.cohort.roster.read_roster`.
        zone: Of dates in the roster that name none.

    Raises:
        GradingError: A path is not there, nothing was found, or the class is too large.
    """
    named = [Path(path) for path in paths]
    rosters = [path for path in named if path.suffix.lower() == ".csv"]
    if len(rosters) > 1:
        raise GradingError(f"one roster is enough, {len(rosters)} were given.")
    lines = read_roster(rosters[0], columns=columns, zone=zone) if rosters else []
    home = rosters[0].parent if rosters else Path()
    uploads: list[Upload] = []
    for upload in find_uploads([path for path in named if path not in rosters], lines, home):
        uploads += open_upload(upload)
        if len(uploads) > MAX_SUBMISSIONS:
            raise _too_large()
    hand_ins: list[HandedIn] = []
    size = 0
    each = [identify(group, _list_of_gradescope(group)) for group in _by_download(uploads)]
    for upload in itertools.chain.from_iterable(each):
        hand_ins.append(read_upload(upload))
        size += sum(map(len, hand_ins[-1].files.values()))
        if size > MAX_CLASS_BYTES:
            raise _too_large()
    hand_ins = _one_each(_enrolled(hand_ins, lines) if lines else hand_ins, attempt)
    if not hand_ins:
        raise GradingError(
            f"no submission in {', '.join(map(str, paths))}.",
            "Name .py files, folders or archives of them, or a roster with a column `path`.",
        )
    return sorted(hand_ins, key=lambda one: (one.student, one.source))


def _by_download(uploads: Sequence[Upload]) -> list[list[Upload]]:
    """Uploads of one folder or archive together: a course system's form is that of all of them."""
    groups: dict[Path, list[Upload]] = {}
    for one in uploads:
        groups.setdefault(one.path if one.top else one.path.parent, []).append(one)
    return list(groups.values())


def _too_large() -> GradingError:
    return GradingError(
        f"the class holds more than {MAX_CLASS_BYTES:,} bytes of Python, or more than "
        f"{MAX_SUBMISSIONS:,} submissions.",
        "Grade it in parts.",
    )


def _list_of_gradescope(uploads: Sequence[Upload]) -> str | None:
    """Text of ``submission_metadata.yml``, where one lies among the uploads."""
    for upload in uploads:
        if upload.top_name == METADATA and len(upload.entries) == 1:
            try:
                return upload.entries[0].read(MAX_BYTES).decode("utf-8", "replace")
            except (Refused, OSError):
                return None
    return None


def _enrolled(hand_ins: list[HandedIn], lines: Sequence[RosterLine]) -> list[HandedIn]:
    """Give everybody their dates; who is missing, or unknown, becomes visible."""
    by_student = _by_student(_by_name(hand_ins, lines))
    enrolled: list[HandedIn] = []
    taken: set[str] = set()
    for line in lines:
        id_ = line.student
        if id_ not in by_student and line.group in by_student:
            id_ = line.group
        taken.add(id_)
        mine = [replace(one, student=line.student) for one in by_student.get(id_, [])]
        if line.problem is not None:
            mine = [replace(one, files={}, refusal=line.problem) for one in mine]
        why = line.problem or "nothing was handed in"
        mine = mine or [HandedIn(student=line.student, source=line.place, refusal=why)]
        enrolled += [replace(one, roster=line) for one in mine]
    for student, strangers in by_student.items():
        if student not in taken:
            enrolled += [replace(one, flags=(*one.flags, "not in the roster")) for one in strangers]
    return enrolled


def _by_name(hand_ins: list[HandedIn], lines: Sequence[RosterLine]) -> list[HandedIn]:
    """Ids of the roster for those whose own id is not in it, but whose name is, once."""
    known = {line.student for line in lines} | {line.group for line in lines}
    names: dict[str, set[str]] = {}
    for line in lines:
        for name in _spellings(line):
            names.setdefault(name, set()).add(line.student)
    found = []
    for one in hand_ins:
        ids = names.get(_letters(one.said.name), set()) if one.student not in known else set()
        found.append(replace(one, student=min(ids)) if len(ids) == 1 else one)
    return found


def _spellings(line: RosterLine) -> set[str]:
    """A student's name as systems put it together, without all but its letters."""
    first, last = line.first_name, line.last_name
    said = {line.name, f"{first} {last}", f"{last} {first}"}
    if "," in line.name:
        last, _, first = line.name.partition(",")
        said |= {f"{first} {last}", f"{last} {first}"}
    return {name for name in map(_letters, said) if name}


def _letters(name: str) -> str:
    name = unicodedata.normalize("NFC", name).casefold()
    return "".join(char for char in name if char.isalnum())


def _one_each(hand_ins: list[HandedIn], attempt: Attempt) -> list[HandedIn]:
    """Where several claim one id, the only one that can be graded counts, or else none does.

    Attempts of one student, which a course system numbers, are no such case: the last one counts,
    or all are graded, and the gradebook takes the best.
    """
    each: list[HandedIn] = []
    for mine in _by_student(hand_ins).values():
        attempts = {one.said.attempt for one in mine}
        if len(mine) > 1 and "" not in attempts and len(attempts) == len(mine):
            mine = sorted(mine, key=lambda one: one.said.attempt)
            if attempt is Attempt.LAST:
                flag = f"attempt {len(mine)} of {len(mine)}"
                mine = [replace(mine[-1], flags=(*mine[-1].flags, flag))]
            each += mine
            continue
        whole = [one for one in mine if one.refusal is None]
        if len(mine) > 1 and len(whole) == 1:
            flags = [f"{one.source}: {one.refusal}" for one in mine if one.refusal is not None]
            each.append(replace(whole[0], flags=(*whole[0].flags, *flags)))
        elif len(mine) > 1:
            sources = ", ".join(sorted(one.source for one in mine))
            why = f"several submissions have this id: {sources}"
            each += [replace(one, files={}, refusal=why, said=NOT_NAMED) for one in mine]
        else:
            each += mine
    return each


def _by_student(hand_ins: list[HandedIn]) -> dict[str, list[HandedIn]]:
    by_student: dict[str, list[HandedIn]] = {}
    for one in hand_ins:
        by_student.setdefault(one.student, []).append(one)
    return by_student
