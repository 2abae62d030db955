"""A gradebook for a page that is shown: pseudonyms, and no name, path or email."""

from __future__ import annotations

import hmac
import re
from dataclasses import replace

from eva.grading.cohort.gradebook import Grade, Gradebook

_WORDS = (
    "amber", "azure", "birch", "cedar", "coral", "ebony", "fern", "hazel", "ivory", "jade", "lilac",
    "maple", "olive", "pearl", "ruby", "sage",
)  # fmt: skip


def anonymous(gradebook: Gradebook, secret: bytes) -> Gradebook:
    """The same gradebook by pseudonyms, sorted by these; one secret gives a student the same one.

    Args:
        gradebook: With names.
        secret: Of the instructor; without it nobody can tell whose pseudonym is whose.
    """
    ids = sorted({grade.student for grade in gradebook.grades})
    names: dict[str, str] = {}
    for student in ids:
        digest = hmac.digest(secret, b"pseudonym " + student.encode("utf-8", "replace"), "sha256")
        name = f"{_WORDS[digest[0] % len(_WORDS)]}-{int.from_bytes(digest[1:5], 'big') % 10_000:04}"
        while name in names.values():
            name += "'"
        names[student] = name
    grades = [_without_names(grade, names) for grade in gradebook.grades]
    return replace(gradebook, grades=tuple(sorted(grades, key=lambda one: one.student)))


def _without_names(grade: Grade, names: dict[str, str]) -> Grade:
    name = names[grade.student]
    return replace(
        grade,
        student=name,
        source="",
        reason="",  # messages name files, and files name students
        flags=tuple(_hidden(flag, names) for flag in grade.flags if flag.startswith("same ")),
        report=replace(grade.report, submission=name),
        roster=dict.fromkeys(grade.roster, ""),
        columns={},
    )


def _hidden(text: str, names: dict[str, str]) -> str:
    """A flag in which no id stands; longer ids first, as one may be a part of another."""
    if " of " in text:  # of another year's journal
        text = re.sub(r"(same [\w ]+ as ).* of .*", r"\1one of another year", text)
    for student in sorted(names, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(student)}(?!\w)", names[student], text)
    return text
