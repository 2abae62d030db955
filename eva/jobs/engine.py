"""What an engine is: it carries tasks to workers and brings answers back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from eva.jobs.plan import Task

ATTEMPTS = 3  # of a task whose worker dies under it


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came of a task.

    Attributes:
        task: Its id.
        result: None where ``error`` says why there is none.
        error: In words.
        lost: Whether the task ended its worker, or outlasted its time, :data:`ATTEMPTS` times;
            an error that is not lost is one that the work raised.
        seconds: From its start to its end.
    """

    task: str
    result: dict[str, Any] | None = None
    error: str | None = None
    lost: bool = False
    seconds: float = 0.0


class Engine(Protocol):
    """Runs tasks, in any order, on any machine."""

    slots: int
    """How many tasks it can run at once."""

    def submit(self, name: str, task: Task) -> None:
        """Take a task; its answer will carry this name."""

    def wait(self, seconds: float) -> list[Answer]:
        """Answers that have come, waiting at most so long for the first."""

    def close(self) -> None:
        """End all workers; what they were doing is lost."""


def answer_of(name: str, value: dict[str, Any], seconds: float) -> Answer:
    """Read what :func:`eva.jobs.plan.perform` gave."""
    return Answer(task=name, result=value.get("result"), error=value.get("error"), seconds=seconds)


def lost_answer(name: str, why: str = "") -> Answer:
    """Of a task whose worker was lost too often; ``why`` is what is known of the last one."""
    more = f" ({why})" if why else ""
    error = f"the worker was lost {ATTEMPTS} times under this task{more}"
    return Answer(task=name, error=error, lost=True)


@dataclass(kw_only=True)
class Job:
    """A task on its way through an engine; ``started`` is of its latest attempt."""

    name: str
    task: Task
    attempts: int = 0
    started: float = 0.0
