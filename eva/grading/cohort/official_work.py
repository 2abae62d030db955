"""What an official worker does: extraction in the sandbox, static checks, one training a task."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from eva.data import Dataset, load_data
from eva.errors import GradingError
from eva.grading.cohort.terms import Terms, decode, encode
from eva.grading.graph.fingerprint import structure
from eva.grading.judge.judge import judge_seed, judge_static
from eva.grading.sandbox.outcome import Extraction
from eva.grading.sandbox.sandbox import Sandbox
from eva.grading.sandbox.tiers import Tier, best_tier
from eva.jobs.plan import Kind, Plan, Result, Work

KINDS = {"static": Kind(seconds=600), "seed": Kind(seconds=6 * 3600, trains=True)}
OFFICIAL = "eva.grading.cohort.official_work:official"


def official_plan(terms: Terms) -> Plan:
    """Plan of an official grading, for any engine."""
    return Plan(make=OFFICIAL, config=terms.to_json(), kinds=KINDS)


def official(config: dict[str, Any]) -> Work:
    """Work by these terms; see :class:`eva.grading.cohort.terms.Plan`."""
    return OfficialWork(Terms.from_json(config))


def require_sandbox(*, allow_tier_c: bool) -> Tier:
    """The best tier of isolation here.

    Raises:
        GradingError: It is only resource limits, and the instructor has not said that these do.
    """
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
    """Full MNIST on the device that trains."""
    return load_data("mnist", terms.data_dir).to(terms.device)


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
        return Sandbox(tier=require_sandbox(allow_tier_c=self._terms.allow_tier_c))

    @cached_property
    def _data(self) -> Dataset:
        return self._load(self._terms)

    def __call__(self, task: dict[str, Any]) -> Result:
        """Do one task of :mod:`eva.grading.cohort.terms`."""
        if task["kind"] == "static":
            return self._static({name: decode(text) for name, text in task["files"].items()})
        return self._seed(task["capture"], task["index"])

    def _static(self, files: dict[str, bytes]) -> Result:
        with tempfile.TemporaryDirectory(prefix="eva-submission-") as folder:
            _write(Path(folder), files)
            extraction = self._sandbox.extract(Path(folder))
            if extraction.status == "stalled":  # perhaps the machine was busy: once more
                limits = self._sandbox.limits
                longer = replace(limits, wall_seconds=2 * limits.wall_seconds)
                extraction = self._sandbox.extract(Path(folder), limits=longer)
        submitted = judge_static(extraction, self._terms.assignment)
        graph = submitted.graph
        return {
            "tier": extraction.tier.value,
            "memory_limit": extraction.memory_limit.value,
            "digest": submitted.digest,
            "structure": structure(graph) if graph is not None else "",
            "verdicts": [verdict.to_json() for verdict in submitted.verdicts.values()],
            "capture": _pack(extraction) if submitted.digest else None,
        }

    def _seed(self, capture: dict[str, Any], index: int) -> Result:
        submitted = judge_static(_unpack(capture), self._terms.assignment)
        result = judge_seed(
            submitted,
            self._data,
            index=index,
            secret=self._terms.secret,
            assignment=self._terms.assignment.name,
            device=self._terms.device,
        )
        value: Result = result.to_json()
        return value


def _write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _pack(extraction: Extraction) -> Result:
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
