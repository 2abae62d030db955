"""A submission as it came out of the sandbox, read without believing it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from eva.data import Images
from eva.errors import GradingError
from eva.grading.checks.allowlist import admitted
from eva.grading.checks.verdict import Verdict
from eva.grading.graph.candidate import Candidate
from eva.grading.graph.graph import Graph
from eva.grading.judge.initial_weights import kept_numbers
from eva.grading.sandbox.outcome import Extraction
from eva.grading.sandbox.record import LENGTH
from eva.recipe import Recipe


@dataclass(frozen=True, kw_only=True, eq=False)
class Admitted:
    """A submission as the judge knows it.

    Attributes:
        candidate: What the checks were asked of; empty where nothing came out of the sandbox.
        digest: SHA-256 of graph, recipe and the numbers that are not drawn afresh; empty where
            nothing can be trained.
        verdicts: Of the checks that need no training, by their names.
    """

    candidate: Candidate = field(default_factory=Candidate)
    digest: str = ""
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)

    @property
    def graph(self) -> Graph | None:
        """Admitted; None where there is none, and ``verdicts`` say why."""
        return self.candidate.graph

    @property
    def recipe(self) -> Recipe | None:
        """The declared one, or None."""
        return self.candidate.recipe


def read_record(extraction: Extraction, images: Images | None = None) -> Candidate:
    """Read a record without believing it, and admit its graph; nothing of it is run.

    The last ones are remembered, as every seed of a submission has the same.

    Args:
        extraction: From a sandbox.
        images: Of the assignment; those of MNIST by default.

    Raises:
        GradingError: It is damaged.
    """
    body = extraction.captured
    if extraction.status != "done" or len(body) < LENGTH.size:
        raise GradingError(f"nothing came out of the sandbox: {extraction.message}")
    return _read(body, images or Images())


@lru_cache(maxsize=2)
def _read(body: bytes, images: Images) -> Candidate:
    (size,) = LENGTH.unpack_from(body)
    text, numbers = body[LENGTH.size : LENGTH.size + size], body[LENGTH.size + size :]
    try:
        header = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise GradingError(f"the record is not JSON: {error}") from error
    return admitted(Candidate.from_json(header, numbers, images))


def digest_of(candidate: Candidate) -> str:
    """SHA-256 of what the judge trains; two submissions with one digest get one grade."""
    graph, recipe = candidate.graph, candidate.recipe
    if graph is None or recipe is None:
        return ""
    text = json.dumps([graph.to_json(), recipe.to_json()], sort_keys=True)
    return hashlib.sha256(text.encode() + kept_numbers(graph)).hexdigest()


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")
