"""Learning-rate schedules: a test for each exercise; its docstring is the hint."""

from types import ModuleType

import pytest

from eva.recipe import Triangular


def test_1_step_rate(work: ModuleType) -> None:
    """How many drops lie behind epoch 13, if there is one after every 6?"""
    rates = [work.step_rate(epoch, 0.05, 6, 0.1) for epoch in (0, 5, 6, 13)]
    assert rates == pytest.approx([0.05, 0.05, 0.005, 0.0005])


def test_2_triangle(work: ModuleType) -> None:
    """There are two straight lines. The first is at / peak_at. The second reaches 0 at 1."""
    shares = [work.triangle(at, 0.2) for at in (0, 0.1, 0.2, 0.6, 1)]
    assert shares == pytest.approx([0, 0.5, 1, 0.5, 0])
    steps = 1_000
    theirs = [Triangular(peak_at=0.2).share(step, steps, 1) for step in range(steps)]
    ours = [work.triangle(step / steps, 0.2) for step in range(steps)]
    assert ours == pytest.approx(theirs, abs=0.01)


def test_3_averaged(work: ModuleType) -> None:
    """Keep the share decay of the average, and add the rest of the new value."""
    assert work.averaged([1, 1, 1], 0.9) == pytest.approx(1)
    assert work.averaged([0, 1], 0.9) == pytest.approx(0.1)
    assert work.averaged([0, 1, 1], 0.5) == pytest.approx(0.75)
