"""BatchNorm folded into the convolution after it: the same function, fewer passes over memory.

A BatchNorm only scales and shifts each channel, ``a * x + b``, once its statistics are known. So
the unpadded convolution that reads it can be given ``a * weight`` as its weights and the sum of
``b * weight`` as its bias, and read ``x`` itself: the normalised map is never written. Going back,
the gradients of ``a`` and ``b`` come from those of a few hundred weights in place of two sums over
the whole map. A max-pool in between commutes with the scale, but for its sign.

It is done on the operations that a model runs, after :func:`torch.compile` has listed them.

References:
    Jacob et al.: Quantization and Training of Neural Networks, 2018, figure C.8 (for inference).
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from operator import getitem
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from eva.errors import DeviceError

Compiled = Callable[..., Any]


def compile_folded(model: nn.Module, batch_size: int) -> Callable[[Tensor], Tensor]:
    """Compile a model by :func:`torch.compile` with its BatchNorms folded where they can be.

    Args:
        model: Maps (batch, ...) to anything.
        batch_size: What it is compiled for. A batch of another size goes to the model itself: to
            compile again for the last, smaller one of an epoch takes longer than that batch.

    Raises:
        DeviceError: There is no C++ compiler.
    """
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if sys.platform != "win32" and shutil.which(compiler) is None:
        raise DeviceError(
            f"compiling a model takes a C++ compiler, and there is no {compiler} here.",
            "Install one, name another with CXX, or train without --compile.",
        )
    compiled = torch.compile(model, backend=_fold_and_compile, dynamic=False)

    def forward(images: Tensor) -> Tensor:
        scores: Tensor = (compiled if len(images) == batch_size else model)(images)
        return scores

    return forward


def fold(module: fx.GraphModule) -> int:
    """Fold each BatchNorm that only an unpadded convolution reads, straight or through a max-pool.

    Args:
        module: As :func:`torch.compile` hands it to a backend; changed in place.

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
        if running_mean is not None and running_var is not None:
            count = x.numel() // x.shape[1]
            with torch.no_grad():
                running_mean.lerp_(mean.detach(), momentum)
                running_var.lerp_(var.detach() * (count / (count - 1)), momentum)
    else:
        mean, var = running_mean, running_var
    scale = torch.rsqrt(var + eps)
    if weight is not None:
        scale = scale * weight
    shift = -mean * scale
    return scale, shift if bias is None else shift + bias


def conv_of_affine(
    affine: tuple[Tensor, Tensor],
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution of ``scale * x + shift``, unpadded, in place of that of ``x``.

    Takes scale and shift, (C,) each, and then what :func:`torch.nn.functional.conv2d` takes.
    """
    outputs, columns = weight.shape[:2]  # columns: the channels that a group of outputs reads
    scale, shift = (
        part.view(groups, 1, columns)
        .expand(groups, outputs // groups, columns)
        .reshape(outputs, columns, 1, 1)
        for part in affine
    )
    moved = (weight * shift).sum((1, 2, 3))
    if bias is not None:
        moved = moved + bias
    return F.conv2d(x, weight * scale, moved, stride, padding, dilation, groups)


def sign_of_affine(affine: tuple[Tensor, Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """``x`` with the sign of each channel's scale, for a max-pool to read, and scales without.

    The largest ``scale * x + shift`` of a window is where ``x`` is largest, or, if the scale is
    negative, where ``-x`` is.
    """
    scale, _ = affine
    sign = torch.where(scale < 0, -1.0, 1.0).to(scale.dtype)
    return x * sign.to(x.dtype).view(1, -1, 1, 1), scale * sign


def _fold_and_compile(module: fx.GraphModule, inputs: Sequence[Tensor]) -> Compiled:
    fold(module)
    inductor: Callable[..., Compiled] = torch._dynamo.lookup_backend("inductor")
    return inductor(module, inputs)


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
    with graph.inserting_before(conv):
        new = graph.call_function(conv_of_affine, (pair, x, *conv.args[1:]), conv.kwargs)
    conv.replace_all_uses_with(new)
    graph.erase_node(conv)
    graph.erase_node(norm)


def _is_unpadded_conv(node: fx.Node) -> bool:
    padding = node.args[4] if len(node.args) > 4 else node.kwargs.get("padding", 0)
    return node.target is F.conv2d and padding in (0, (0, 0), "valid")


def _only_reader(node: fx.Node) -> fx.Node | None:
    """The operation that alone reads a value, as the first of its arguments."""
    reader = next(iter(node.users)) if len(node.users) == 1 else None
    return reader if reader is not None and reader.args[:1] == (node,) else None


def _foldable(x: fx.Node) -> bool:
    """Whether ``x`` is a batch of maps that nothing else reads or changes."""
    return len(x.users) == 1 and x.meta["example_value"].ndim == 4
