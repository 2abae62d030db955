"""What workers do: JSON tasks in, JSON results out, so that any engine can carry them.

A plan names the function that makes a worker's ``work`` and what that function is told.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from eva.json_types import Json

Task = dict[str, Json]
TaskResult = dict[str, Json]
Work = Callable[[dict[str, Any]], TaskResult]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What an engine must know of tasks of one kind.

    Attributes:
        seconds: After which their worker is given up.
        trains: Whether they use a GPU, where the engine has some.
    """

    seconds: float
    trains: bool = False


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a worker gets its work.

    Attributes:
        make: "module:function" that takes ``config`` and gives the work.
        config: JSON values.
        kinds: The kinds of tasks, by the value of their key "kind".
    """

    make: str
    config: dict[str, Json]
    kinds: Mapping[str, Kind]

    def kind(self, task: Task) -> Kind:
        """Of a task."""
        return self.kinds[str(task["kind"])]

    def to_json(self) -> str:
        """One line of text; keys keep their order, which in a rubric is that of the checks."""
        return json.dumps({"make": self.make, "config": self.config})


@cache
def work_of(plan: str) -> Work:
    """The work of a plan, made once a process: it keeps its sandbox warm and the data loaded."""
    value = json.loads(plan)
    module, _, name = value["make"].partition(":")
    work: Work = getattr(importlib.import_module(module), name)(value["config"])
    return work


def perform(plan: str, task: dict[str, Any]) -> dict[str, Json]:
    """Do one task; what goes wrong is an answer too."""
    try:
        return {"result": work_of(plan)(task)}
    except Exception as error:  # a worker goes on with the next task whatever happened in this one
        return {"error": f"{type(error).__name__}: {error}"}
