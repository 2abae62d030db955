"""BatchNorm folded into the convolution after it: the same function, fewer passes over memory.

A BatchNorm only scales and shifts each channel, ``a * x + b``, once its statistics are known. So
the unpadded convolution that reads it can be given ``a * weight`` as its weights and the sum of
``b * weight`` as its bias, and read ``x`` itself: the normalized map is never written. Going back,
the gradients of ``a`` and ``b`` come from those of a few hundred weights in place of two sums over
the whole map. A max-pool in between commutes with the scale, but for its sign.

Compiled by PyTorch, a step of experiment 5 took 22.9 ms with it and 25.1 ms without
(docs/records/benchmarks/folding.json: medians of 15 rounds, 2 threads of a Xeon, torch 2.14).

It is done on the operations that a model runs, after :func:`torch.compile` has listed them.

References:
    Jacob et al.: Quantization and Training of Neural Networks, 2018, figure C.8 (for inference).
"""

from __future__ import annotations

from collections.abc import Callable
from operator import getitem

import torch
import torch.nn.functional as F
from torch import Tensor, fx

from eva.kernels.targets import conv_arguments, pair

_UNPADDED = ((0, 0), ("valid", "valid"))


Rewrite = Callable[[fx.Graph, fx.Node, fx.Node | None, fx.Node], bool]


def fold(module: fx.GraphModule, rewrite: Rewrite | None = None) -> int:
    """Fold each BatchNorm that only an unpadded convolution reads, straight or through a max-pool.

    Args:
        module: As :func:`eva.kernels.targets.name_calls` leaves it; changed in place.
        rewrite: Is tried first on a norm, the max-pool between, if any, and the convolution; where
            it gives False, the norm is folded by PyTorch's operations.

    Returns:
        How many were folded.
    """
    folded = 0
    for norm in list(module.graph.nodes):
        if norm.target is not F.batch_norm or not norm.args or not _foldable(norm.args[0]):
            continue
        reader = _only_reader(norm)
        pool = reader if reader is not None and reader.target is F.max_pool2d else None
        if pool is not None:
            reader = _only_reader(pool)
        if reader is not None and _is_unpadded_conv(reader):
            if rewrite is None or not rewrite(module.graph, norm, pool, reader):
                _rewrite(module.graph, norm, pool, reader)
            folded += 1
    module.graph.lint()
    module.recompile()
    return folded


def batch_affine(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[Tensor, Tensor]:
    """Scale and shift, (C,) each, that a BatchNorm applies to ``x``, (batch, C, H, W).

    Takes what :func:`torch.nn.functional.batch_norm` takes, and updates the running statistics.
    """
    if training or running_mean is None or running_var is None:
        # Half precision is too coarse for sums over a map.
        values = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
        var, mean = torch.var_mean(values, (0, 2, 3), correction=0)
        update_running(running_mean, running_var, mean, var, x, momentum)
    else:
        mean, var = running_mean, running_var
    scale = torch.rsqrt(var + eps)
    if weight is not None:
        scale = scale * weight
    shift = -mean * scale
    return scale, shift if bias is None else shift + bias


@torch.no_grad()
def update_running(
    running_mean: Tensor | None,
    running_var: Tensor | None,
    mean: Tensor,
    var: Tensor,
    x: Tensor,
    momentum: float,
) -> None:
    """Move the running statistics, if there are any, towards those of ``x``, (batch, C, H, W)."""
    if running_mean is not None and running_var is not None:
        count = x.numel() // x.shape[1]
        running_mean.lerp_(mean.detach(), momentum)
        running_var.lerp_(var.detach() * (count / (count - 1)), momentum)


def take_in_affine(
    affine: tuple[Tensor, Tensor], weight: Tensor, bias: Tensor | None, groups: int
) -> tuple[Tensor, Tensor]:
    """Weights and bias by which an unpadded convolution reads ``x`` as ``scale * x + shift``.

    Args:
        affine: Scale and shift, (C,) each.
        weight: (outputs, C / groups, height, width).
        bias: (outputs,), if any.
        groups: Of the convolution.
    """
    outputs, columns = weight.shape[:2]  # columns: the channels that a group of outputs reads
    scale, shift = (
        part.view(groups, 1, columns)
        .expand(groups, outputs // groups, columns)
        .reshape(outputs, columns, 1, 1)
        for part in affine
    )
    moved = (weight * shift).sum((1, 2, 3))
    return weight * scale, moved if bias is None else moved + bias


def sign_of_affine(affine: tuple[Tensor, Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """``x`` with the sign of each channel's scale, for a max-pool to read, and scales without.

    The largest ``scale * x + shift`` of a window is where ``x`` is largest, or, if the scale is
    negative, where ``-x`` is.
    """
    scale, _ = affine
    sign = torch.where(scale < 0, -1.0, 1.0).to(scale.dtype)
    return x * sign.to(x.dtype).view(1, -1, 1, 1), scale * sign


def _rewrite(graph: fx.Graph, norm: fx.Node, pool: fx.Node | None, conv: fx.Node) -> None:
    """Put scale and shift in the BatchNorm's place, and give them to the convolution."""
    with graph.inserting_before(norm):
        affine = graph.call_function(batch_affine, norm.args, norm.kwargs)
        pair = tuple(graph.call_function(getitem, (affine, place)) for place in (0, 1))
        x = norm.args[0]
        if pool is not None:
            signed = graph.call_function(sign_of_affine, (pair, x))
            x, scale = (graph.call_function(getitem, (signed, place)) for place in (0, 1))
            pair = (scale, pair[1])
            pool.update_arg(0, x)
            x = pool
    _, weight, bias, *options = conv_arguments(conv).values()
    with graph.inserting_before(conv):
        taken = graph.call_function(take_in_affine, (pair, weight, bias, options[-1]))
        weight, bias = (graph.call_function(getitem, (taken, place)) for place in (0, 1))
        new = graph.call_function(F.conv2d, (x, weight, bias, *options))
        new.meta.update(conv.meta)
    conv.replace_all_uses_with(new)
    graph.erase_node(conv)
    graph.erase_node(norm)


def _is_unpadded_conv(node: fx.Node) -> bool:
    return node.target is F.conv2d and pair(conv_arguments(node)["padding"]) in _UNPADDED


def _only_reader(node: fx.Node) -> fx.Node | None:
    """The operation that alone reads a value, as the first of its arguments."""
    reader = next(iter(node.users)) if len(node.users) == 1 else None
    return reader if reader is not None and reader.args[:1] == (node,) else None


def _foldable(x: fx.Node) -> bool:
    """Whether ``x`` is a batch of maps that nothing else reads or changes."""
    return len(x.users) == 1 and x.meta["example_value"].ndim == 4
