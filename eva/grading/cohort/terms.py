"""The terms of an official grading, its kinds of tasks, and what comes of one that breaks.

A task is ``{"kind": "static", "files": ...}``,
``{"kind": "seed", "capture": ..., "verdicts": ..., "index": ...}`` or, in a dry run,
``{"kind": "timing", "capture": ..., "verdicts": ...}``.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from eva.errors import GradingError
from eva.grading.checks.rubric import Assignment
from eva.grading.checks.verdict import Verdict
from eva.grading.cohort.text import printable
from eva.jobs import Task, TaskResult
from eva.json_types import Json

MIN_SECRET = 16  # bytes


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What an official grading is.

    Attributes:
        assignment: With limits, points and the late policy.
        secret: Of the instructor; seeds are derived from it.
        seeds: Trainings of a submission that is not near the line.
        allow_tier_c: Accept extraction with resource limits alone.
        data_dir: Folder that holds MNIST/raw, on every machine that works.
        device: Where networks are trained: "cpu", "cuda" or "mps"; "auto" before it is chosen.
    """

    assignment: Assignment
    secret: bytes
    seeds: int = 3
    allow_tier_c: bool = False
    data_dir: str | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        if len(self.secret) < MIN_SECRET:
            raise GradingError(
                f"the secret has {len(self.secret)} bytes; at least {MIN_SECRET} are needed, so "
                "that no student can guess the seeds.",
                "Make one with `openssl rand -hex 32 > secret.txt`, and keep it.",
            )
        if self.seeds < 1:
            raise GradingError(f"{self.seeds} seeds decide nothing; at least 1 is needed.")

    def to_json(self) -> dict[str, Json]:
        """For workers; it holds the secret, so it is never written to a file."""
        return {
            "assignment": json.loads(self.assignment.model_dump_json()),
            "secret": self.secret.hex(),
            "seeds": self.seeds,
            "allow_tier_c": self.allow_tier_c,
            "data_dir": self.data_dir,
            "device": self.device,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Terms:
        """Read what :meth:`to_json` gave."""
        rubric = Assignment.model_validate_json(json.dumps(value["assignment"]))
        return cls(**value | {"assignment": rubric, "secret": bytes.fromhex(value["secret"])})


def static_task(files: dict[str, bytes]) -> Task:
    """Extract a submission and answer checks 1 to 6."""
    return {"kind": "static", "files": {name: encode(files[name]) for name in sorted(files)}}


def seed_task(static: dict[str, Any], index: int) -> Task:
    """Train what a static task captured and judged, with one seed."""
    return {
        "kind": "seed",
        "capture": static["capture"],
        "verdicts": static["verdicts"],
        "index": index,
    }


def timing_task(static: dict[str, Any]) -> Task:
    """Say how long a training of it would take."""
    return {"kind": "timing", "capture": static["capture"], "verdicts": static["verdicts"]}


def broken_static(why: str, checks: Sequence[str]) -> TaskResult:
    """Result of a static task that a submission has broken: a person must look."""
    answers = [Verdict.review(f"{checks[0]}: {printable(why)}")]
    answers += [Verdict.skipped(f"{name}: not looked at.") for name in checks[1:]]
    verdicts = [replace(a, check=name) for name, a in zip(checks, answers, strict=True)]
    return {
        "tier": "",
        "digest": "",
        "structure": "",
        "verdicts": [verdict.to_json() for verdict in verdicts],
        "capture": None,
    }


def broken_seed(index: int, why: str) -> TaskResult:
    """Result of a training that a submission has broken: no seed after it is trained."""
    return {"index": index, "broken": printable(why)}


def encode(content: bytes) -> str:
    """Bytes as text that JSON can hold."""
    return b64encode(content).decode()


def decode(text: str) -> bytes:
    """What :func:`encode` was given."""
    return b64decode(text, validate=True)
