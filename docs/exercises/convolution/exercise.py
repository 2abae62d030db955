"""What a convolution is: fill the holes, each a `...`."""

from torch import Tensor, tensor


def map_side(side: int, window: int, padding: int = 0, stride: int = 1) -> int:
    """Return how many places a window has along a side of an image."""
    return ...


def one_place(image: Tensor, kernel: Tensor, row: int, column: int) -> Tensor:
    """Return the number that a 3x3 kernel writes for a window; its corner is (row, column)."""
    return ...


def lower_edges() -> Tensor:
    """Return a 3x3 kernel that is positive where an image gets brighter from top to bottom."""
    return ...


def max_pool(image: Tensor) -> Tensor:
    """Return the largest number of each 2x2 square of an image with even sides."""
    return ...
