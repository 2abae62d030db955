"""What a convolution is: a test for each exercise; its docstring is the hint."""

from types import ModuleType

import torch
import torch.nn.functional as F


def test_1_map_side(work: ModuleType) -> None:
    """Add the padding on both sides, subtract the window, divide by the stride, round down, add
    1.
    """
    assert work.map_side(5, 3) == 3
    assert work.map_side(28, 3, padding=1) == 28
    assert work.map_side(28, 2, stride=2) == 14
    assert work.map_side(7, 2, stride=2) == 3


def test_2_one_place(work: ModuleType) -> None:
    """Cut the window out with two slices, multiply it by the kernel, and sum."""
    image = torch.arange(25.0).view(5, 5)
    kernel = torch.tensor([[0.0, 0, 0], [0, 2, 0], [0, 0, 1]])
    assert work.one_place(image, kernel, 0, 0) == 2 * 6 + 12
    assert work.one_place(image, kernel, 2, 1) == 2 * 17 + 23


def test_3_lower_edges(work: ModuleType) -> None:
    """The lesson's kernel finds edges from left to right. Turn it."""
    kernel = work.lower_edges()
    assert kernel.shape == (3, 3)
    bright_below = torch.tensor([[0.0, 0, 0], [0, 0, 0], [1, 1, 1]])
    assert (bright_below * kernel).sum() > 0
    assert (bright_below.flip(0) * kernel).sum() < 0
    assert (torch.ones(3, 3) * kernel).sum() == 0, "an even image has no edge"


def test_4_max_pool(work: ModuleType) -> None:
    """Two loops are fine. So is a view of shape (rows / 2, 2, columns / 2, 2) and amax over 1
    and 3.
    """
    image = torch.tensor([[1.0, 2, 0, 0], [3, 4, 0, 5], [0, 0, 7, 6], [0, 1, 0, 0]])
    assert work.max_pool(image).tolist() == [[4, 5], [1, 7]]
    wide = torch.randn(4, 6)
    assert torch.equal(work.max_pool(wide), F.max_pool2d(wide[None], 2)[0])
