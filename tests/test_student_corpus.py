"""What students write goes through summary, receptive field, the checks and an epoch."""

from __future__ import annotations

from pathlib import Path

import pytest
from student_corpus import CORPUS

import eva
from eva.data import Dataset
from eva.grading.checks.fast import run_fast_checks
from eva.grading.checks.verdict import Status
from eva.grading.graph.capture import capture
from eva.training.trainer import Trainer

FILE = """
from student_corpus import CORPUS
build_model, RECIPE, _ = CORPUS[{name!r}]
"""


def test_there_are_thirty() -> None:
    assert len(CORPUS) == 30


@pytest.mark.parametrize("name", CORPUS)
def test_idiom_is_summarized_checked_and_trained(name: str, tiny: Dataset, tmp_path: Path) -> None:
    build, recipe, pooled = CORPUS[name]
    model = build()
    parameters = sum(p.numel() for p in model.parameters())
    assert eva.summary(model, (1, 28, 28)).total_params == parameters
    field = eva.receptive_field(model, (1, 28, 28))
    assert field.output_shape == (1, 10)
    assert min(field.size) >= 23  # strides may leave out the last columns

    (tmp_path / "net.py").write_text(FILE.format(name=name))
    verdicts = {v.check: v for v in run_fast_checks(capture(tmp_path / "net.py"))}
    failed = {check for check, v in verdicts.items() if v.status is Status.FAILED}
    assert failed == (set() if pooled else {"pooling"}), verdicts

    run = Trainer(model, recipe, tiny, device="cpu").fit()
    assert run.status == "finished"
    assert run.parameters == parameters
