"""A small network with a forward of its own, and what practice and the judge say of it."""

from __future__ import annotations

import json
import types
from collections.abc import Callable

import torch
from torch import Tensor, nn

from eva.grading.checks.fast import run_fast_checks
from eva.grading.checks.rubric import load_assignment
from eva.grading.checks.verdict import Verdict
from eva.grading.graph.candidate import Candidate
from eva.grading.graph.export import export_graph
from eva.grading.judge.judge import judge_static
from eva.grading.sandbox.outcome import Extraction
from eva.grading.sandbox.record import LENGTH
from eva.grading.sandbox.tiers import Tier
from eva.recipe import Recipe

RUBRIC = load_assignment("mnist_8k")
SIZE = (1, 28, 28)
Forward = Callable[["Net", Tensor, Tensor], Tensor]


class Net(nn.Module):
    """A body that gives (batch, 8, 9, 9), and a forward of its own."""

    def __init__(self, forward: Forward, parts: dict[str, object]) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=3, bias=False), nn.BatchNorm2d(8), nn.ReLU()
        )
        self.gap = nn.Conv2d(8, 10, 1)
        self.flat = nn.Linear(8 * 81, 10)
        for name, part in parts.items():
            if type(part) is Tensor:
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)
        self.run = types.MethodType(forward, self)

    def forward(self, x: Tensor) -> Tensor:
        return self.run(x, self.body(x))

    def mean(self, h: Tensor) -> Tensor:
        return self.gap(h).mean((2, 3))


def candidate_of(forward: Forward, parts: dict[str, object]) -> Candidate:
    torch.manual_seed(0)
    graph = export_graph(Net(forward, parts), SIZE)
    return Candidate(model="Net", recipe=Recipe(), graph=graph)


def practice(candidate: Candidate) -> dict[str, Verdict]:
    """What `eva check` says."""
    return {v.check: v for v in run_fast_checks(candidate)}


def official(candidate: Candidate) -> dict[str, Verdict]:
    """What the judge says of the record that a sandbox would write."""
    assert candidate.graph is not None
    text = json.dumps(candidate.to_json()).encode()
    record = Extraction(
        tier=Tier.A,
        status="done",
        captured=LENGTH.pack(len(text)) + text + candidate.graph.to_bytes(),
        message="",
        trace=None,
        seconds=1.0,
    )
    return dict(judge_static(record, RUBRIC).verdicts)
