"""What a check says: one status, the student's numbers, and facts for machines."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from eva.json_types import Json

CHECKS = (
    "imports",
    "shapes",
    "under_10k",
    "under_8k",
    "pooling",
    "recipe",
    "reaches",
    "holds",
)
"""Every check of mnist_8k, in the order of the table; the last two need training."""

FAST_CHECKS = CHECKS[:6]
"""The checks that :func:`eva.grading.checks.fast.run_fast_checks` answers, in order."""


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
        check: One of :data:`CHECKS`.
        status: How it ended.
        message: What holds or not, with the student's numbers; one to three lines.
        details: The same facts for machines, as JSON values.
        trace: The student's own traceback, cut to frames of their files, where their code raised.
    """

    check: str
    status: Status
    message: str
    details: dict[str, Json] = field(default_factory=dict)
    trace: str | None = None

    def to_json(self) -> dict[str, Json]:
        """All fields."""
        return {**vars(self), "status": self.status.value}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Verdict:
        """Read what :meth:`to_json` gave."""
        return cls(**value | {"status": Status(value["status"])})


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What mnist_8k allows.

    Attributes:
        parameters: A submission must have fewer than each of these, one for each check.
        epochs: The most epochs that a recipe may ask for.
        input_size: Channels, height and width of an image.
        classes: Length of the model's answer.
    """

    parameters: tuple[int, int] = (10_000, 8_000)
    epochs: int = 15
    input_size: tuple[int, int, int] = (1, 28, 28)
    classes: int = 10
