"""What a convolution is: the solutions."""

from torch import Tensor, tensor


# --8<-- [start:map_side]
def map_side(side: int, window: int, padding: int = 0, stride: int = 1) -> int:
    """Return how many places a window has along a side of an image."""
    return (side + 2 * padding - window) // stride + 1


# --8<-- [end:map_side]


# --8<-- [start:one_place]
def one_place(image: Tensor, kernel: Tensor, row: int, column: int) -> Tensor:
    """Return the number that a 3x3 kernel writes for a window; its corner is (row, column)."""
    return (image[row : row + 3, column : column + 3] * kernel).sum()


# --8<-- [end:one_place]


# --8<-- [start:lower_edges]
def lower_edges() -> Tensor:
    """Return a 3x3 kernel that is positive where an image gets brighter from top to bottom."""
    return tensor([[-1.0, -1, -1], [0, 0, 0], [1, 1, 1]])


# --8<-- [end:lower_edges]


# --8<-- [start:max_pool]
def max_pool(image: Tensor) -> Tensor:
    """Return the largest number of each 2x2 square of an image with even sides."""
    return image.view(image.shape[0] // 2, 2, image.shape[1] // 2, 2).amax(dim=(1, 3))


# --8<-- [end:max_pool]
