"""What consistent means: a test for each exercise; its docstring is the hint."""

from types import ModuleType

import pytest


def test_1_standard_error(work: ModuleType) -> None:
    """The number of right answers is binomial. The lesson has the formula."""
    assert work.standard_error(0.994, 10_000) == pytest.approx(0.000772, abs=1e-6)


def test_2_images_needed(work: ModuleType) -> None:
    """Solve the formula of the standard error for the number of images, and round up."""
    assert work.images_needed(0.5, 0.05) == 100
    assert work.images_needed(0.994, 0.0003) == 66_267


def test_3_held(work: ModuleType) -> None:
    """accuracies[-last:] are the last epochs."""
    assert work.held([98.0, 99.4, 99.5, 99.41, 99.4]) is True
    assert work.held([99.5, 99.5, 99.39, 99.5, 99.5]) is False
    assert work.held([99.39, 99.5, 99.5], last=2) is True


def test_4_mean_and_spread(work: ModuleType) -> None:
    """The module statistics has mean and stdev."""
    assert work.mean_and_spread([99.4, 99.5, 99.6]) == pytest.approx((99.5, 0.1))
