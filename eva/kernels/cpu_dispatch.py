"""Which networks train on a CPU by our own convolutions, and how a compiled model gets them.

Maps are (batch, channels, height, width) as everywhere, but stored batch last. The first
convolution brings them into that order; whatever lies between two of them keeps it.
"""

from __future__ import annotations

import sys
import warnings
from functools import cache
from inspect import signature
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from eva.kernels import cpu_kernels

CPU_CHANNELS = 24  # at most, of the inputs and of the outputs of a group; wider ones are oneDNN's
SIDES = {1, 3, 5}
IMAGES = 32  # a batch is a multiple of them, whatever the processor


def fits_cpu_kernel(module: fx.GraphModule) -> bool:
    """Whether the kernels can do all convolutions of a network, and compile here.

    If one does not fit, PyTorch does them all: to change the order of maps back and forth costs
    more than the others gain. So it is where maps are viewed as if they were in the usual order.

    Args:
        module: As :func:`torch.compile` hands it to a backend.
    """
    nodes = module.graph.nodes
    convolutions = [node for node in nodes if node.target is F.conv2d]
    if not convolutions or not all(map(_convolution_fits, convolutions)):
        return False
    return not any(map(_needs_the_usual_order, nodes)) and _usable()


def use_batch_last(module: fx.GraphModule) -> None:
    """Hand the convolutions and max-pools of a network that :func:`fits` to our kernels.

    Args:
        module: As :func:`torch.compile` hands it to a backend; changed in place.
    """
    ours = {F.conv2d: conv2d, F.max_pool2d: max_pool2d}
    for node in module.graph.nodes:
        if node.op == "call_function":
            node.target = ours.get(node.target, node.target)
    module.recompile()


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """:func:`torch.nn.functional.conv2d` by our kernel; stride and dilation must be 1."""
    scores: Tensor = torch.ops.eva.conv(input, weight, pair(padding)[0], groups)
    return scores if bias is None else scores + bias.view(1, -1, 1, 1)


def max_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """:func:`torch.nn.functional.max_pool2d`: square and unpadded by our kernel, or as it is."""
    side, step = pair(kernel_size), pair(kernel_size if stride is None else stride)
    square = side[0] == side[1] and step[0] == step[1] and input.ndim == 4
    plain = pair(padding) == (0, 0) and pair(dilation) == (1, 1)
    if square and plain and not ceil_mode and not return_indices:
        return torch.ops.eva.max_pool(input, side[0], step[0])
    return F.max_pool2d(  # type: ignore[call-overload]
        input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )


def conv_arguments(node: fx.Node) -> dict[str, Any]:
    """All arguments of a node that calls :func:`torch.nn.functional.conv2d`, by their names."""
    bound = signature(conv2d).bind(*node.args, **node.kwargs)
    bound.apply_defaults()
    return bound.arguments


def _convolution_fits(node: fx.Node) -> bool:
    given = conv_arguments(node)
    x, weight = (given[name].meta["example_value"] for name in ("input", "weight"))
    values = (x, weight, node.meta["example_value"])  # the type of the last is autocast's
    if not all(value.is_cpu and value.dtype is torch.float32 for value in values):
        return False
    outputs, inputs, side, other_side = weight.shape
    padding, other_padding = pair(given["padding"])
    return (
        x.ndim == 4
        and len(x) > 0
        and len(x) % IMAGES == 0
        and side == other_side
        and side in SIDES
        and max(inputs, outputs // given["groups"]) <= CPU_CHANNELS
        and pair(given["stride"]) == pair(given["dilation"]) == (1, 1)
        and padding == other_padding
        and isinstance(padding, int)
        and 0 <= padding < side
    )


def _needs_the_usual_order(node: fx.Node) -> bool:
    """Whether an operation reads maps of several pixels as if their order were PyTorch's usual."""
    if node.op != "call_method" or node.target not in ("view", "view_as"):
        return False
    shape = node.args[0].meta["example_value"].shape  # type: ignore[union-attr]
    return len(shape) == 4 and shape[2] * shape[3] > 1


def pair(value: Any) -> tuple[Any, Any]:
    """Both axes' value; PyTorch takes one for both, too."""
    if isinstance(value, (tuple, list)):
        return (value[0], value[-1])
    return (value, value)


@cache
def _usable() -> bool:
    """Whether this is Linux and the kernels compile here."""
    if sys.platform != "linux":  # elsewhere the compiler seldom has OpenMP
        warnings.warn(
            "eva's kernels for small convolutions are made on Linux only, so PyTorch's are used, "
            "which are slower with few channels. Nothing else changes.",
            RuntimeWarning,
            stacklevel=4,
        )
        return False
    try:
        cpu_kernels.library()
    except Exception as error:  # whatever it was, PyTorch does the same work
        warnings.warn(
            "eva's kernels for small convolutions can't be compiled here, so PyTorch's are used, "
            f"which are slower with few channels: {error} Install g++, or go on without.",
            RuntimeWarning,
            stacklevel=4,
        )
        return False
    return True
