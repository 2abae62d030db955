"""What a check says: one status, the student's numbers, and facts for machines."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from eva.json_types import Json

Details = dict[str, Json]


class Status(StrEnum):
    """How a check ended; ``needs-review`` means that a person decides, and is never a zero."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    NEEDS_REVIEW = "needs-review"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The answer of one check.

    Attributes:
        check: Its id in the rubric; whoever runs the check fills it in.
        status: How it ended.
        message: What holds or not, with the student's numbers; one to three lines.
        details: The same facts for machines, as JSON values.
        trace: The student's own traceback, cut to frames of their files, where their code raised.
    """

    check: str = ""
    status: Status
    message: str
    details: dict[str, Json] = field(default_factory=dict)
    trace: str | None = None

    @classmethod
    def passed(cls, message: str, details: Details | None = None) -> Verdict:
        """It holds."""
        return cls(status=Status.PASSED, message=message, details=details or {})

    @classmethod
    def failed(
        cls, message: str, details: Details | None = None, *, trace: str | None = None
    ) -> Verdict:
        """It does not hold."""
        return cls(status=Status.FAILED, message=message, trace=trace, details=details or {})

    @classmethod
    def review(
        cls, message: str, details: Details | None = None, *, trace: str | None = None
    ) -> Verdict:
        """It can't be decided by a program: a person must look."""
        return cls(status=Status.NEEDS_REVIEW, message=message, trace=trace, details=details or {})

    @classmethod
    def skipped(cls, message: str, details: Details | None = None) -> Verdict:
        """It was not looked at; the message says why."""
        return cls(status=Status.SKIPPED, message=message, details=details or {})

    def to_json(self) -> dict[str, Json]:
        """All fields."""
        return {**vars(self), "status": self.status.value}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Verdict:
        """Read what :meth:`to_json` gave."""
        return cls(**value | {"status": Status(value["status"])})
