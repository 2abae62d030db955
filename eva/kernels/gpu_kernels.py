"""Convolutions of few channels on a GPU, in Triton.

cuDNN is made for networks of hundreds of channels: on maps of 9 or 16 it spends most of its time on
padding, on converting, and on the gradient of the weights. Here a convolution is a product of
matrices whose rows are positions and whose columns are (tap, input channel), read straight from
channels_last maps and multiplied on the matrix units that cuDNN would use: float32 in TF32, which
is PyTorch's default for convolutions. Sums have a fixed order, so that the same inputs give the
same gradients to the bit.

Maps are (batch, channels, height, width), weights (outputs, inputs, side, side); the stride is 1.
This module needs Triton; with TRITON_INTERPRET=1 set before it is imported it runs on a CPU.

References:
    Chetlur et al.: cuDNN: Efficient Primitives for Deep Learning, 2014 (implicit matrix product).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

# Sizes of blocks, and warps, chosen for experiment 5 on an H200.
POSITIONS, STEP = 128, 32
GRADIENT_POSITIONS, GRADIENT_COLUMNS = 32, 64
CHUNKS = 256  # of positions, each summed by a program of its own
SUM_COLUMNS = 16
WARPS = 4

KERNEL_SIZES = ["positions", "height", "width", "out_height", "out_width", "outputs", "padding"]
STRIDES = ["stride_output", "stride_input", "stride_row", "stride_column", "first", "direction"]


# Compiled once for each (side, inputs) and not for every size of a map as well.
@triton.jit(do_not_specialize=[*KERNEL_SIZES, *STRIDES])
def _convolve(
    x, weight, y,
    positions, height, width, out_height, out_width, outputs, padding,
    stride_output, stride_input, stride_row, stride_column, first, direction,
    SIDE: tl.constexpr, INPUTS: tl.constexpr, OUTPUTS: tl.constexpr,
    POSITIONS: tl.constexpr, STEP: tl.constexpr,
):  # fmt: skip
    """Write a block of positions; the tap of column t is ``first + direction * t``."""
    m = tl.program_id(0) * POSITIONS + tl.arange(0, POSITIONS)
    row = m // out_width % out_height - padding
    column = m % out_width - padding
    corner = ((m // (out_height * out_width) * height + row) * width + column) * INPUTS
    k = tl.arange(0, OUTPUTS)
    total = tl.zeros((POSITIONS, OUTPUTS), tl.float32)
    for start in tl.static_range(0, SIDE * SIDE * INPUTS, STEP):
        q = start + tl.arange(0, STEP)
        tap = q // INPUTS
        channel = q % INPUTS
        i = row[:, None] + (tap // SIDE)[None, :]
        j = column[:, None] + (tap % SIDE)[None, :]
        real = tap < SIDE * SIDE
        inside = (i >= 0) & (i < height) & (j >= 0) & (j < width)
        inside = inside & real[None, :] & (m < positions)[:, None]
        offset = (tap // SIDE * width + tap % SIDE) * INPUTS + channel
        block = tl.load(x + corner[:, None] + offset[None, :], inside, 0.0)
        t = first + direction * tap
        taps = weight + t // SIDE * stride_row + t % SIDE * stride_column + channel * stride_input
        known = real[:, None] & (k < outputs)[None, :]
        taps = tl.load(taps[:, None] + k[None, :] * stride_output, known, 0.0)
        total = tl.dot(block, taps, total)
    known = (m < positions)[:, None] & (k < outputs)[None, :]
    tl.store(y + m[:, None] * outputs + k[None, :], total.to(y.dtype.element_ty), known)


@triton.jit(do_not_specialize=[*KERNEL_SIZES, "chunk"])
def _correlate(
    x, dy, partial,
    positions, height, width, out_height, out_width, outputs, chunk,
    SIDE: tl.constexpr, INPUTS: tl.constexpr, OUTPUTS: tl.constexpr,
    POSITIONS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Sum x times dy over a chunk of positions, for a block of columns of an unpadded map."""
    q = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    tap = q // INPUTS
    offset = (tap // SIDE * width + tap % SIDE) * INPUTS + q % INPUTS
    real = tap < SIDE * SIDE
    k = tl.arange(0, OUTPUTS)
    total = tl.zeros((COLUMNS, OUTPUTS), tl.float32)
    begin = tl.program_id(0) * chunk
    end = min(begin + chunk, positions)
    for start in range(begin, end, POSITIONS):
        m = start + tl.arange(0, POSITIONS)
        row = m // (out_height * out_width) * height + m // out_width % out_height
        corner = (row * width + m % out_width) * INPUTS
        known = (m < end)[:, None] & real[None, :]
        block = tl.load(x + corner[:, None] + offset[None, :], known, 0.0)
        known = (m < end)[:, None] & (k < outputs)[None, :]
        gradient = tl.load(dy + m[:, None] * outputs + k[None, :], known, 0.0)
        total = tl.dot(tl.trans(block), gradient, total)
    at = (tl.program_id(0) * outputs + k)[None, :] * (SIDE * SIDE * INPUTS) + q[:, None]
    tl.store(partial + at, total, real[:, None] & (k < outputs)[None, :])


@triton.jit(do_not_specialize=["chunks", "columns"])
def _sum(partial, total, chunks, columns, CHUNKS: tl.constexpr, COLUMNS: tl.constexpr):
    """Sum a block of columns over all chunks."""
    at = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    rows = tl.arange(0, CHUNKS)
    known = (rows < chunks)[:, None] & (at < columns)[None, :]
    block = tl.load(partial + rows[:, None] * columns + at[None, :], known, 0.0)
    tl.store(total + at, tl.sum(block, 0), at < columns)


def convolve(x: Tensor, weight: Tensor, padding: int, *, flipped: bool = False) -> Tensor:
    """Convolution of maps with weights, or, ``flipped``, with the weights turned by 180 degrees."""
    outputs, inputs, side, _ = weight.shape
    x = x.contiguous(memory_format=torch.channels_last)
    batch, _, height, width = x.shape
    out_height, out_width = (size + 2 * padding - side + 1 for size in (height, width))
    y = torch.empty(
        (batch, outputs, out_height, out_width),
        dtype=x.dtype,
        device=x.device,
        memory_format=torch.channels_last,
    )
    positions = batch * out_height * out_width
    _convolve[(triton.cdiv(positions, POSITIONS),)](
        x,
        weight,
        y,
        *(positions, height, width, out_height, out_width, outputs, padding),
        *weight.stride(),
        *((side * side - 1, -1) if flipped else (0, 1)),
        SIDE=side,
        INPUTS=inputs,
        OUTPUTS=_block(outputs),
        POSITIONS=POSITIONS,
        STEP=min(STEP, _block(side * side * inputs)),
        num_warps=WARPS,
        num_stages=1,
    )
    return y


def weight_gradient(x: Tensor, dy: Tensor, side: int, padding: int) -> Tensor:
    """Gradient of the weights in float32, from the input and the gradient of the output."""
    if padding:
        x = F.pad(x, [padding] * 4)
    x, dy = (value.contiguous(memory_format=torch.channels_last) for value in (x, dy))
    _, inputs, height, width = x.shape
    batch, outputs, out_height, out_width = dy.shape
    positions = batch * out_height * out_width
    chunk = GRADIENT_POSITIONS * triton.cdiv(positions, CHUNKS * GRADIENT_POSITIONS)
    chunks = triton.cdiv(positions, chunk)
    columns = side * side * inputs
    block = min(GRADIENT_COLUMNS, _block(columns))
    partial = torch.empty((chunks, outputs * columns), device=x.device)
    _correlate[(chunks, triton.cdiv(columns, block))](
        x,
        dy,
        partial,
        *(positions, height, width, out_height, out_width, outputs, chunk),
        SIDE=side,
        INPUTS=inputs,
        OUTPUTS=_block(outputs),
        POSITIONS=GRADIENT_POSITIONS,
        COLUMNS=block,
        num_warps=WARPS,
        num_stages=1,
    )
    total = add_up(partial).view(outputs, side, side, inputs)
    return total.permute(0, 3, 1, 2)  # channels_last, as the weights of a trained model are


def add_up(partial: Tensor) -> Tensor:
    """Sum (chunks, columns) over at most ``CHUNKS`` chunks, always in the same order."""
    chunks, columns = partial.shape
    total = torch.empty(columns, device=partial.device)
    _sum[(triton.cdiv(columns, SUM_COLUMNS),)](
        partial, total, chunks, columns, CHUNKS=CHUNKS, COLUMNS=SUM_COLUMNS, num_warps=WARPS
    )
    return total


class Convolution(torch.autograd.Function):
    """``apply(x, weight, padding)``: as :func:`torch.nn.functional.conv2d`, with gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, padding: int) -> Tensor:
        """Convolve, and keep what the gradients take."""
        ctx.save_for_backward(x, weight)
        ctx.padding = padding
        return convolve(x, weight, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        """Gradients of input and weights, computed side by side: neither fills a GPU."""
        x, weight = ctx.saved_tensors
        side = weight.shape[2]
        dx = dw = None
        aside = torch.cuda.Stream() if dy.is_cuda else None  # type: ignore[no-untyped-call]
        if aside is not None:
            aside.wait_stream(torch.cuda.current_stream())
        if ctx.needs_input_grad[1]:
            with torch.cuda.stream(aside):
                dw = weight_gradient(x, dy, side, ctx.padding).to(weight.dtype)
        if ctx.needs_input_grad[0]:
            dx = convolve(dy, weight.transpose(0, 1), side - 1 - ctx.padding, flipped=True)
        if aside is not None:
            torch.cuda.current_stream().wait_stream(aside)
        return dx, dw, None


def _block(size: int) -> int:
    """The power of two that a block takes; matrix units want at least 16."""
    return int(max(16, triton.next_power_of_2(size)))
