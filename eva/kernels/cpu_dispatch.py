"""Which networks train on a CPU by our own convolutions, and how a compiled model gets them.

Maps are (batch, channels, height, width) as everywhere, but stored batch last. The first
convolution brings them into that order; whatever lies between two of them keeps it.
"""

from __future__ import annotations

import sys
import warnings
from functools import cache
from operator import getitem
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from eva.kernels import cpu_kernels
from eva.kernels.cpu_kernels import BatchLastConvolution, FoldedNorm, MaxPool, Norm
from eva.kernels.folding import (
    batch_affine,
    fold,
    sign_of_affine,
    take_in_affine,
    update_running,
)
from eva.kernels.targets import conv_arguments, pair

CPU_CHANNELS = 24  # at most, of the inputs and of the outputs of a group; wider ones are oneDNN's
SIDES = {1, 3, 5}
IMAGES = 32  # a batch is a multiple of them, whatever the processor


def fits_cpu_kernel(module: fx.GraphModule) -> bool:
    """Whether the kernels can do all convolutions of a network, and compile here.

    If one does not fit, PyTorch does them all: to change the order of maps back and forth costs
    more than the others gain. So it is where maps are viewed as if they were in the usual order.

    Args:
        module: As :func:`eva.kernels.targets.name_calls` leaves it.
    """
    nodes = module.graph.nodes
    convolutions = [node for node in nodes if node.target is F.conv2d]
    if not convolutions or not all(map(_convolution_fits, convolutions)):
        return False
    return not any(map(_needs_the_usual_order, nodes)) and _usable()


def use_batch_last(module: fx.GraphModule) -> None:
    """Hand a network that fits to our kernels: convolutions, max-pools, BatchNorms with their ReLU.

    Args:
        module: That :func:`fits_cpu_kernel`; changed in place. Its BatchNorms are folded here.
    """
    fold(module, _rewrite)
    ours = {F.conv2d: conv2d, F.max_pool2d: max_pool2d, F.batch_norm: norm_and_relu}
    for node in list(module.graph.nodes):
        if node.op == "call_function" and node.target in ours:
            node.target = ours[node.target]
            readers = list(node.users)
            if node.target is norm_and_relu and len(readers) == 1 and _is_relu(readers[0]):
                node.kwargs = {**node.kwargs, "relu": True}
                readers[0].replace_all_uses_with(node)
                module.graph.erase_node(readers[0])
    module.graph.lint()
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
    scores: Tensor = BatchLastConvolution.apply(input, weight, bias, pair(padding)[0], groups)
    return scores


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
    square = side[0] == side[1] and step[0] == step[1] and _takes(input)
    plain = pair(padding) == (0, 0) and pair(dilation) == (1, 1)
    if square and plain and not ceil_mode and not return_indices:
        return MaxPool.apply(input, side[0], step[0])
    return F.max_pool2d(  # type: ignore[call-overload]
        input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )


def norm_and_relu(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    relu: bool = False,
) -> Tensor:
    """:func:`torch.nn.functional.batch_norm` by our kernel, and a ReLU of it if there is one."""
    y: Tensor
    if _takes(input) and (training or running_mean is None or running_var is None):
        scale = input.new_ones(input.shape[1]) if weight is None else weight
        shift = torch.zeros_like(scale) if bias is None else bias
        y, mean, var = Norm.apply(input, scale, shift, eps, relu)
        update_running(running_mean, running_var, mean, var, input, momentum)
        return y
    y = F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    return F.relu(y) if relu else y


def folded_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    conv_weight: Tensor,
    conv_bias: Tensor | None,
    groups: int,
    relu: bool,
    pooled: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """The map that a convolution reads, its weights and its bias, with a BatchNorm folded into it.

    The first arguments are those of :func:`torch.nn.functional.batch_norm`, whose input is ``x`` or
    its ReLU; ``pooled`` says that a max-pool lies between it and the convolution.
    """
    if _takes(x) and (training or running_mean is None or running_var is None):
        gamma = x.new_ones(x.shape[1]) if weight is None else weight
        beta = torch.zeros_like(gamma) if bias is None else bias
        y, taken, moved, mean, var = FoldedNorm.apply(
            x, gamma, beta, conv_weight, conv_bias, groups, eps, relu, pooled
        )
        update_running(running_mean, running_var, mean, var, x, momentum)
        return y, taken, moved
    y = F.relu(x) if relu else x
    statistics = (running_mean, running_var, weight, bias, training, momentum, eps)
    affine = batch_affine(y, *statistics)
    if pooled:
        y, scale = sign_of_affine(affine, y)
        affine = (scale, affine[1])
    return y, *take_in_affine(affine, conv_weight, conv_bias, groups)


def _rewrite(graph: fx.Graph, norm: fx.Node, pool: fx.Node | None, conv: fx.Node) -> bool:
    """Put :func:`folded_norm` in the BatchNorm's place; False where the weights come after it."""
    given = conv_arguments(conv)
    weights = [value for value in (given["weight"], given["bias"]) if isinstance(value, fx.Node)]
    if any(value.op not in ("placeholder", "get_attr") for value in weights):
        return False
    x: Any = norm.args[0]
    relu = _is_relu(x)
    with graph.inserting_before(norm):
        found = graph.call_function(
            folded_norm,
            (x.args[0] if relu else x, *norm.args[1:]),
            {
                **norm.kwargs,
                "conv_weight": given["weight"],
                "conv_bias": given["bias"],
                "groups": given["groups"],
                "relu": relu,
                "pooled": pool is not None,
            },
        )
        y, weight, bias = (graph.call_function(getitem, (found, place)) for place in range(3))
    norm.replace_all_uses_with(y)
    graph.erase_node(norm)
    if relu:
        graph.erase_node(x)
    rest = {name: given[name] for name in ("stride", "padding", "dilation", "groups")}
    conv.args, conv.kwargs = conv.args[:1], {"weight": weight, "bias": bias, **rest}
    return True


def _takes(x: Tensor) -> bool:
    """Whether the kernels of norms and pools take a map."""
    return x.ndim == 4 and x.dtype is torch.float32 and len(x) % IMAGES == 0 and x.numel() > 0


def _is_relu(node: Any) -> bool:
    """Whether a node is a ReLU that overwrites nothing."""
    return isinstance(node, fx.Node) and node.target is F.relu and not node.kwargs


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


@cache
def why_not_here() -> str | None:
    """Why the kernels can't run on this machine, in words; None where they can."""
    if sys.platform != "linux":  # elsewhere the compiler seldom has OpenMP
        return "eva's kernels for small convolutions are made on Linux only."
    try:
        cpu_kernels.library()
    except Exception as error:  # whatever it was, PyTorch does the same work
        why = f"eva's kernels for small convolutions can't be compiled here: {error}"
        return f"{why} Install g++, or go on without."
    return None


@cache
def _usable() -> bool:
    """Whether the kernels can run on this machine; it is said once where they can't."""
    why = why_not_here()
    if why is not None:
        warnings.warn(
            f"{why} PyTorch's are used, which are slower with few channels.",
            RuntimeWarning,
            stacklevel=4,
        )
    return why is None
