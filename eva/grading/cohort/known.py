"""Journals of other years: whose network a student's is a copy of. A flag, and no verdict."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eva.errors import GradingError


@dataclass(frozen=True, kw_only=True)
class Known:
    """What was handed in before, by file, by model and by operations; each to who did it."""

    files: dict[str, str] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    structures: dict[str, str] = field(default_factory=dict)

    def flag(self, file: str, static: dict[str, Any]) -> str | None:
        """What to look at in a submission; None where nothing of it is known.

        Args:
            file: Digest of the files.
            static: What extraction and the checks gave for it.
        """
        if file in self.files:
            return f"same file as {self.files[file]}"
        if static.get("digest") in self.models:
            return f"same model and recipe as {self.models[static['digest']]}"
        if static.get("structure") in self.structures:
            return f"same operations as {self.structures[static['structure']]}"
        return None


def read_known(journals: Sequence[Path]) -> Known:
    """Read what others handed in; their secret is not needed, so nothing else is believed.

    Raises:
        GradingError: A file can't be read, or is no journal.
    """
    known = Known()
    for path in journals:
        students: dict[str, str] = {}
        static: dict[str, dict[str, Any]] = {}
        try:
            lines = path.read_bytes().splitlines()
        except OSError as error:
            raise GradingError(f"the journal {path} can't be read: {error.strerror}.") from error
        for line in lines:
            try:
                entry = json.loads(line)["entry"]
            except (ValueError, LookupError, TypeError, RecursionError):
                continue
            match entry:
                case {"kind": "class", "students": list(found)}:
                    students = {
                        one["digest"]: str(one["student"])
                        for one in found
                        if isinstance(one, dict) and one.get("digest") and "student" in one
                    }
                case {"kind": "static", "key": str(key), "result": dict(result)}:
                    static[key] = result
        if not students:
            raise GradingError(
                f"{path} is no journal of a class.", "Name one of `eva class grade`."
            )
        for key, student in sorted(students.items(), key=lambda item: item[1]):
            who = f"{student} of {path.name}"
            known.files.setdefault(key, who)
            result = static.get(key, {})
            if result.get("digest"):
                known.models.setdefault(str(result["digest"]), who)
            if result.get("structure"):
                known.structures.setdefault(str(result["structure"]), who)
    return known
