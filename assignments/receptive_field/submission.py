"""Your submission: receptive fields by hand.

The receptive field of a unit is the stretch of the image that can change it: from the first to the
last pixel, both included. All numbers here are along one axis; heights and widths are alike.

Fill in three functions and five predictions, and run `pytest assignments/receptive_field`.
"""

from typing import NamedTuple


class Layer(NamedTuple):
    """A convolution or a pool, in units of its input; no more than arithmetic is needed."""

    kernel: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1


def after_layer(size: int, jump: int, field: int, layer: Layer) -> tuple[int, int, int]:
    """Follow one layer.

    Args:
        size: Units before the layer.
        jump: Pixels of the image between two neighboring units before the layer.
        field: Pixels that a unit sees before the layer.
        layer: With layer.kernel, layer.stride, layer.padding and layer.dilation.

    Returns:
        Size, jump and field after the layer. Images are large enough: a field may be wider than
        the image, its padding included.
    """
    raise NotImplementedError


def field_of(layers: list[Layer]) -> int:
    """Pixels that a unit sees after all layers in turn."""
    raise NotImplementedError


def layers_to_see(size: int) -> int:
    """Smallest number of 3x3 layers, stride 1, after which a unit sees ``size`` pixels or more."""
    raise NotImplementedError


# What does a unit of the last layer see? The networks are in networks.py, in this folder. Predict
# first, with pencil and paper; where units differ, the one that sees most counts.
PREDICTIONS: dict[str, int | None] = {
    "pooled": None,
    "dilated": None,
    "residual": None,
    "upsampled": None,
    "course": None,
}
