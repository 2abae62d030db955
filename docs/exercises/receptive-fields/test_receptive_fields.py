"""Receptive fields: a test for each exercise; its docstring is the hint."""

from types import ModuleType

import torch
from torch import nn


def test_1_field_after(work: ModuleType) -> None:
    """The window covers its first unit and window - 1 more. Each of those is one jump further."""
    assert work.field_after(1, 1, 3) == 3
    assert work.field_after(8, 2, 3) == 12


def test_2_walk(work: ModuleType) -> None:
    """Both new numbers use the old jump."""
    assert work.walk([(3, 1), (3, 1), (3, 1), (2, 2)]) == (8, 2)
    assert work.walk([(3, 1), (3, 1), (3, 1), (2, 2), (3, 1)]) == (12, 2)
    assert work.walk([(7, 2), (3, 2)]) == (11, 4)


def test_3_dilated_window(work: ModuleType) -> None:
    """A window of 3 with dilation 2 looks at positions 0, 2 and 4. How many pixels lie from the
    first to the last?
    """
    assert work.dilated_window(3, 1) == 3
    assert work.dilated_window(3, 2) == 5
    assert work.dilated_window(5, 3) == 13


def test_4_output_size(work: ModuleType) -> None:
    """Use the rule of the lesson on convolutions with the dilated window in place of the window."""
    for kind in [(28, 3), (28, 3, 2, 1), (28, 3, 1, 2, 2), (17, 5, 3, 0, 2)]:
        side, *rest = kind
        layer = nn.Conv2d(1, 1, *rest)
        assert work.output_size(*kind) == layer(torch.zeros(1, 1, side, side)).shape[-1], kind


def test_5_same_padding(work: ModuleType) -> None:
    """Without padding, the map loses one pixel less than the dilated window spans. Give back
    half on each side.
    """
    assert [work.same_padding(k) for k in (1, 3, 5)] == [0, 1, 2]
    assert work.same_padding(3, 4) == 4
