from collections.abc import Callable
from pathlib import Path

import pytest

from eva.errors import EvaError, SubmissionError
from eva.grading.checks.report import Report
from eva.grading.checks.verdict import Status
from eva.grading.practice.watch import watch

NET = """
from torch import nn
from eva.recipe import Recipe

def build_model():
    return nn.Sequential(nn.Conv2d(1, WIDTH, 3), nn.Conv2d(WIDTH, 10, 1), nn.AvgPool2d(26),
                         nn.Flatten())

RECIPE = Recipe()
"""


class Done(Exception):
    pass


def script(*saves: Callable[[], object]) -> Callable[[float], None]:
    """A sleep during which, in turn, each of these happens; then it ends the watch."""
    waiting = iter(saves)

    def sleep(seconds: float) -> None:
        step = next(waiting, None)
        if step is None:
            raise Done
        step()

    return sleep


def test_every_save_is_looked_at_and_a_broken_one_does_not_end_it(tmp_path: Path) -> None:
    net = tmp_path / "net.py"
    net.write_text(NET.replace("WIDTH", "2"))
    seen: list[Report | EvaError] = []
    sleep = script(
        lambda: None,
        lambda: net.write_text("def build_model(:\n"),
        lambda: None,
        net.unlink,
        lambda: net.write_text(NET.replace("WIDTH", "600")),
    )
    with pytest.raises(Done):
        watch(net, "mnist_8k", show=seen.append, sleep=sleep)
    first, broken, gone, large = seen
    assert isinstance(first, Report)
    assert first.points == 7
    assert isinstance(broken, Report)
    assert broken.rows[0].verdict.status is Status.FAILED
    assert "SyntaxError" in str(broken)
    assert isinstance(gone, SubmissionError)
    assert isinstance(large, Report)
    assert large.rows[2].verdict.status is Status.FAILED


def test_a_helper_beside_the_submission_counts_as_a_save(tmp_path: Path) -> None:
    (tmp_path / "submission.py").write_text(NET.replace("WIDTH", "2"))
    seen: list[Report | EvaError] = []
    sleep = script(lambda: (tmp_path / "blocks.py").write_text("x = 1"))
    with pytest.raises(Done):
        watch(tmp_path, "mnist_8k", show=seen.append, sleep=sleep)
    assert len(seen) == 2


def test_there_must_be_something_to_watch(tmp_path: Path) -> None:
    with pytest.raises(SubmissionError, match="to watch"):
        watch(tmp_path / "nowhere.py", "mnist_8k", show=print)
