"""Multiply-adds: counted at the operations that ran, whichever module or function called them.

What counts is a product of two numbers that is added to a sum: in matrix products, convolutions,
attention, recurrent layers and bilinear forms. Biases, norms, activations, pools, resampling,
look-ups and products entry by entry count nothing. Each operation counts once for each time it
ran. PyTorch's ``FlopCounterMode`` counts the same products, two operations for each.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from torch import nn

from eva.rf import OpCall, Trace

VECTOR_PRODUCTS = ("mv", "dot", "vdot")
Sizes = tuple[tuple[int, ...], ...]


def own_mult_adds(trace: Trace) -> list[int]:
    """Multiply-adds of every call for one image, without those of submodules.

    What was worked out for every image is divided by the number of images that ran together; what
    is made of parameters alone, such as a weight that is a product of two, counts whole.
    """
    images = batch_size(trace)
    counts = [0] * len(trace.calls)
    for op in trace.ops:
        if op.call < len(counts):
            counts[op.call] += mult_adds(op, images)
    return counts


def mult_adds(op: OpCall, images: int) -> int:
    """Multiply-adds of one operation for one of the images that ran together."""
    count = products(op)
    # The first state of a recurrent layer depends on no input, and is there for every image.
    for_each = op.from_input or any(size[:1] == (images,) for size in op.output_sizes)
    if not for_each and op.name.partition(".")[2] in VECTOR_PRODUCTS:
        return 0  # the norm of a weight, worked out again and again
    return -(-count // images) if for_each else count


def batch_size(trace: Trace) -> int:
    """How many images ran together.

    The first dimension of the first input; the second one where the model itself is a recurrent or
    attention layer of PyTorch that puts steps first; the length of a list of images.
    """
    if not trace.input_sizes:
        return 1
    name, size = next(iter(trace.input_sizes.items()))
    argument, _, place = name.partition(".")
    if place.isdigit() and len(size) == 3:  # detectors take a list of (channels, height, width)
        return sum(other.partition(".")[0] == argument for other in trace.input_sizes)
    root: nn.Module | None = trace.calls[0].module if trace.calls else None
    steps_first = getattr(root, "batch_first", True) is False and len(size) == 3
    return size[1 if steps_first else 0] if len(size) > 1 else 1


def products(op: OpCall) -> int:
    """Multiply-adds of one operation as it ran, for all images together; 0 if it has none."""
    name = op.name.partition(".")[2] or op.name
    formula = FORMULAS.get(name)
    if formula is None and name.startswith(("_scaled_dot_product", "flex_attention")):
        formula = _attention
    return 0 if formula is None else formula(op.input_sizes, op.output_sizes, op.settings)


def _product(inputs: Sizes, outputs: Sizes, settings: Any) -> int:
    """``a @ b``: every number of a meets a row of b."""
    return prod(inputs[0]) * inputs[1][-1]


def _added_product(inputs: Sizes, outputs: Sizes, settings: Any) -> int:
    """``c + a @ b``."""
    return prod(inputs[1]) * inputs[2][-1]


def _linear(inputs: Sizes, outputs: Sizes, settings: Any) -> int:
    """``a @ w.T``."""
    return prod(inputs[0]) * inputs[1][0]


def _vector(inputs: Sizes, outputs: Sizes, settings: Any) -> int:
    """A matrix or vector times a vector."""
    return prod(inputs[0])


def _added_vector(inputs: Sizes, outputs: Sizes, settings: Any) -> int:
    """``c + a @ v``."""
    return prod(inputs[1])


def _convolution(inputs: Sizes, outputs: Sizes, settings: Any) -> int:
    """Every output meets its part of the kernel; if transposed, every input does."""
    meets = inputs[0] if settings.get("transposed") else outputs[0]
    return prod(meets) * prod(inputs[1][1:])


def _transposed(inputs: Sizes, outputs: Sizes, settings: Any) -> int:
    return prod(inputs[0]) * prod(inputs[1][1:])


def _attention(inputs: Sizes, outputs: Sizes, settings: Any) -> int:
    """Query times keys, then weights times values, (..., positions, channels) each; no mask."""
    query, key, value = inputs[:3]
    return prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def _attention_heads_last(inputs: Sizes, outputs: Sizes, settings: Any) -> int:
    """The same, (batch, positions, heads, channels) each."""
    query, key, value = inputs[:3]
    return prod(query[:-1]) * key[1] * (query[-1] + value[-1])


def _recurrent(inputs: Sizes, outputs: Sizes, settings: Any) -> int:
    """Every weight matrix meets every step of every image; states have three dimensions."""
    weights = sum(prod(size) for size in inputs[1:] if len(size) == 2)
    return prod(inputs[0][:-1]) * weights


def _recurrent_layer(inputs: Sizes, outputs: Sizes, settings: Any) -> int:
    """One direction of one layer: input, its two weight matrices, and the rest."""
    return prod(inputs[0][:-1]) * (prod(inputs[1]) + prod(inputs[2]))


def _bilinear(inputs: Sizes, outputs: Sizes, settings: Any) -> int:
    """``x @ w @ y`` for every output: one product for each entry of w and each pair (x, y)."""
    return prod(outputs[0]) * prod(inputs[1]) // outputs[0][-1]


FORMULAS: dict[str, Callable[[Sizes, Sizes, Any], int]] = {
    **dict.fromkeys(("mm", "bmm", "_int_mm", "_scaled_mm"), _product),
    **dict.fromkeys(("addmm", "baddbmm", "addbmm", "_addmm_activation"), _added_product),
    **dict.fromkeys(("linear", "mkldnn_linear", "_weight_int8pack_mm"), _linear),
    **dict.fromkeys(VECTOR_PRODUCTS, _vector),
    "addmv": _added_vector,
    **dict.fromkeys(
        (
            *("convolution", "_convolution", "convolution_overrideable", "mkldnn_convolution"),
            *("cudnn_convolution", "miopen_convolution", "_slow_conv2d_forward"),
            *("slow_conv3d_forward", "_conv_depthwise2d", "conv_depthwise3d", "deform_conv2d"),
        ),
        _convolution,
    ),
    **dict.fromkeys(
        ("cudnn_convolution_transpose", "slow_conv_transpose2d", "slow_conv_transpose3d"),
        _transposed,
    ),
    **dict.fromkeys(
        ("_flash_attention_forward", "_efficient_attention_forward"), _attention_heads_last
    ),
    **dict.fromkeys(("lstm", "gru", "rnn_tanh", "rnn_relu", "_cudnn_rnn"), _recurrent),
    "mkldnn_rnn_layer": _recurrent_layer,
    "_trilinear": _bilinear,
}
