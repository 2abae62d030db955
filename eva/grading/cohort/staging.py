"""From what an instructor has (files, folders, archives, a roster) to one line a student.

Only regular ``.py`` files are read, each once, into memory: no link is followed, nothing is
unpacked to a disk, and no size is believed. What can't be graded becomes a line with a refusal, so
that one bad upload never stops a class, and nothing that was handed in vanishes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from eva.errors import GradingError
from eva.grading.cohort.archives import MAX_CLASS_BYTES, open_upload
from eva.grading.cohort.handed_in import HandedIn, read_upload
from eva.grading.cohort.roster import RosterLine, read_roster
from eva.grading.cohort.uploads import MAX_SUBMISSIONS, find_uploads


def stage(paths: Sequence[str | Path]) -> list[HandedIn]:
    """Collect what a class has handed in, in a fixed order.

    Args:
        paths: A folder or an archive of submissions, or submissions (a .py file, a folder or
            archive with submission.py), and at most one roster (a .csv file).

    Raises:
        GradingError: A path is not there, nothing was found, or the class is too large.
    """
    named = [Path(path) for path in paths]
    rosters = [path for path in named if path.suffix.lower() == ".csv"]
    if len(rosters) > 1:
        raise GradingError(f"one roster is enough, {len(rosters)} were given.")
    lines = read_roster(rosters[0]) if rosters else []
    home = rosters[0].parent if rosters else Path()
    hand_ins: list[HandedIn] = []
    size = 0
    for upload in find_uploads([path for path in named if path not in rosters], lines, home):
        for opened in open_upload(upload):
            hand_ins.append(read_upload(opened))
            size += sum(map(len, hand_ins[-1].files.values()))
            if size > MAX_CLASS_BYTES or len(hand_ins) > MAX_SUBMISSIONS:
                raise GradingError(
                    f"the class holds more than {MAX_CLASS_BYTES:,} bytes of Python, or more than "
                    f"{MAX_SUBMISSIONS:,} submissions.",
                    "Grade it in parts.",
                )
    hand_ins = _one_each(_enrolled(hand_ins, lines) if lines else hand_ins)
    if not hand_ins:
        raise GradingError(
            f"no submission in {', '.join(map(str, paths))}.",
            "Name .py files, folders or archives of them, or a roster with a column `path`.",
        )
    return sorted(hand_ins, key=lambda one: (one.student, one.source))


def _enrolled(hand_ins: list[HandedIn], lines: Sequence[RosterLine]) -> list[HandedIn]:
    """Give everybody their dates; who is missing, or unknown, becomes visible."""
    by_student = _by_student(hand_ins)
    enrolled: list[HandedIn] = []
    for line in lines:
        mine = by_student.pop(line.student, [])
        if line.problem is not None:
            mine = [replace(one, files={}, refusal=line.problem) for one in mine]
        why = line.problem or "nothing was handed in"
        mine = mine or [HandedIn(student=line.student, source=line.place, refusal=why)]
        enrolled += [replace(one, roster=line) for one in mine]
    for strangers in by_student.values():
        enrolled += [replace(one, flags=(*one.flags, "not in the roster")) for one in strangers]
    return enrolled


def _one_each(hand_ins: list[HandedIn]) -> list[HandedIn]:
    """Where several claim one id, the only one that can be graded counts, or else none does."""
    each: list[HandedIn] = []
    for mine in _by_student(hand_ins).values():
        whole = [one for one in mine if one.refusal is None]
        if len(mine) > 1 and len(whole) == 1:
            flags = [f"{one.source}: {one.refusal}" for one in mine if one.refusal is not None]
            each.append(replace(whole[0], flags=(*whole[0].flags, *flags)))
        elif len(mine) > 1:
            sources = ", ".join(sorted(one.source for one in mine))
            why = f"several submissions have this id: {sources}"
            each += [replace(one, files={}, refusal=why) for one in mine]
        else:
            each += mine
    return each


def _by_student(hand_ins: list[HandedIn]) -> dict[str, list[HandedIn]]:
    by_student: dict[str, list[HandedIn]] = {}
    for one in hand_ins:
        by_student.setdefault(one.student, []).append(one)
    return by_student
