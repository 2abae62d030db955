"""What an official worker does: extraction in the sandbox, static checks, one training a task."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any

from eva.data import Dataset, load_data
from eva.errors import DataError, DeviceError, GradingError
from eva.grading.checks.course import course_answer
from eva.grading.checks.rubric import Assignment
from eva.grading.checks.verdict import Verdict
from eva.grading.cohort.terms import (
    Terms,
    broken_seed,
    broken_static,
    decode,
    encode,
)
from eva.grading.cohort.text import printable
from eva.grading.graph.fingerprint import structure
from eva.grading.judge.admitted import Admitted, digest_of, read_record
from eva.grading.judge.judge import judge_seed, judge_static, seconds_of_training
from eva.grading.sandbox.outcome import MIB, Extraction, SandboxLimits
from eva.grading.sandbox.sandbox import Sandbox
from eva.grading.sandbox.tiers import Tier, best_tier, why_not
from eva.jobs import Kind, Plan, TaskResult, Work
from eva.json_types import Json
from eva.training.device import select_device

_SEED = Kind(seconds=6 * 3600, trains=True)
_TIMING = Kind(seconds=600, trains=True)
_TRIES = 4  # times that a program's own time may run out before its task ends
_MACHINE = (DataError, DeviceError, OSError)  # errors that are never a submission's
OFFICIAL = "eva.grading.cohort.official_work:official"


def official_plan(terms: Terms) -> Plan:
    """Plan of an official grading, for any engine."""
    static = Kind(seconds=360 + _TRIES * terms.assignment.limits.seconds)
    return Plan(
        make=OFFICIAL,
        config=terms.to_json(),
        kinds={"static": static, "seed": _SEED, "timing": _TIMING},
    )


def sandbox_limits(assignment: Assignment) -> SandboxLimits:
    """What an assignment allows a submission to use."""
    allowed = assignment.limits
    return SandboxLimits(
        wall_seconds=allowed.seconds,
        cpu_seconds=math.ceil(allowed.seconds),
        memory_bytes=allowed.memory_mb * MIB,
        file_bytes=allowed.disk_mb * MIB,
        source_bytes=round(allowed.source_mb * MIB),
        source_files=allowed.source_files,
    )


def official(config: dict[str, Any]) -> Work:
    """Work by these terms; see :class:`eva.jobs.Plan`."""
    return OfficialWork(Terms.from_json(config))


def require_sandbox(*, allow_tier_c: bool) -> Tier:
    """The best tier of isolation here.

    Raises:
        GradingError: It is only resource limits, and the instructor has not said that these do; or
            this is not Linux.
    """
    if (why := why_not(Tier.C)) is not None:
        raise GradingError(
            f"an official grading can't be done here: {why}.",
            "Use a machine with Linux, a container or WSL 2; `eva grade FILE` works everywhere.",
        )
    tier = best_tier()
    if tier is Tier.C and not allow_tier_c:
        raise GradingError(
            "there is no sandbox here: tier C limits resources, and student code would run with "
            "your rights.",
            "Install bubblewrap (`apt-get install bubblewrap`), or say --allow-tier C in a "
            "machine that you can throw away.",
        )
    return tier


def load_official_data(terms: Terms) -> Dataset:
    """The assignment's data on the device that trains."""
    return load_data(terms.assignment.data, terms.data_dir).to(terms.device)


class OfficialWork:
    """Keeps its sandbox warm and the data loaded between tasks.

    Args:
        terms: Of the grading.
        load: Loads the data when the first training needs it.
    """

    def __init__(self, terms: Terms, load: Callable[[Terms], Dataset] = load_official_data) -> None:
        self._terms = terms
        self._load = load

    @cached_property
    def _sandbox(self) -> Sandbox:
        return Sandbox(
            tier=require_sandbox(allow_tier_c=self._terms.allow_tier_c),
            limits=sandbox_limits(self._terms.assignment),
        )

    @cached_property
    def _data(self) -> Dataset:
        return self._load(self._terms)

    def __call__(self, task: dict[str, Any]) -> TaskResult:
        """Do one task of :mod:`eva.grading.cohort.terms`.

        Raises:
            EvaError: The machine is at fault; whatever a submission brings about is a result.
        """
        if task["kind"] == "static":
            return self._static({name: decode(text) for name, text in task["files"].items()})
        return self._timing(task) if task["kind"] == "timing" else self._seed(task)

    def _static(self, files: dict[str, bytes]) -> TaskResult:
        images = self._terms.assignment.images
        extraction = self._sandbox.extract(files, images=images)
        if extraction.status == "stalled":  # perhaps the machine was busy: once more
            limits = self._sandbox.limits
            longer = replace(limits, wall_seconds=2 * limits.wall_seconds)
            extraction = self._sandbox.extract(files, images=images, limits=longer)
        try:
            return self._judged(extraction)
        except _MACHINE:
            raise
        except Exception as error:  # a graph of a stranger may break anything
            why = f"it can't be judged: {type(error).__name__}: {error}"
            names = list(self._terms.assignment.asked(trains=False))
            return broken_static(why, names) | _place(extraction)

    def _judged(self, extraction: Extraction) -> TaskResult:
        submitted = judge_static(extraction, self._terms.assignment)
        graph = submitted.graph
        return {
            **_place(extraction),
            "digest": submitted.digest,
            "structure": structure(graph) if graph is not None else "",
            "course": (course_answer(graph, submitted.candidate.images.size) or "")
            if graph is not None
            else "",
            "verdicts": [_capped(verdict.to_json()) for verdict in submitted.verdicts.values()],
            "capture": _pack(extraction) if submitted.digest else None,
        }

    def _submitted(self, task: dict[str, Any]) -> Admitted:
        """What a static task captured and judged."""
        candidate = read_record(_unpack(task["capture"]), self._terms.assignment.images)
        found = {verdict.check: verdict for verdict in map(Verdict.from_json, task["verdicts"])}
        return Admitted(candidate=candidate, digest=digest_of(candidate), verdicts=found)

    def _timing(self, task: dict[str, Any]) -> TaskResult:
        device = select_device(self._terms.device).type
        images = self._terms.assignment.images
        try:
            seconds = seconds_of_training(self._submitted(task), images, device=device)
        except _MACHINE:
            raise
        except Exception:  # whatever a stranger's graph makes PyTorch say: it is told in training
            return {"seconds": None}
        return {"seconds": seconds}

    def _seed(self, task: dict[str, Any]) -> TaskResult:
        data, index = self._data, task["index"]
        try:
            value: TaskResult = judge_seed(
                self._submitted(task),
                data,
                index=index,
                secret=self._terms.secret,
                assignment=self._terms.assignment.name,
                device=self._terms.device,
            ).to_json()
        except _MACHINE:
            raise
        except Exception as error:  # as above
            return broken_seed(index, f"training broke off: {type(error).__name__}: {error}")
        return value


def _place(extraction: Extraction) -> TaskResult:
    """Where the code ran."""
    return {"tier": extraction.tier.value, "memory_limit": extraction.memory_limit.value}


def _capped(value: Json) -> Any:
    """The same JSON with every text cut."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(key): _capped(item) for key, item in value.items()}
    return [_capped(item) for item in value] if isinstance(value, list) else value


def _pack(extraction: Extraction) -> TaskResult:
    """What a training needs of an extraction, as JSON values."""
    return {
        "tier": extraction.tier.value,
        "status": str(extraction.status),
        "captured": encode(extraction.captured),
        "message": extraction.message,
        "trace": extraction.trace,
    }


def _unpack(value: dict[str, Any]) -> Extraction:
    return Extraction(
        **value
        | {"tier": Tier(value["tier"]), "captured": decode(value["captured"]), "seconds": 0.0}
    )
