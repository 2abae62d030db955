"""A 3x3 kernel for each channel, on a GPU, in Triton: for searches, beside eva's own kernels.

Maps are (batch, channels, height, width) in channels_last, weights (channels, 1, 3, 3).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

BLOCK = 512
POSITIONS = 64


@triton.jit(do_not_specialize=["total", "height", "width", "out_height", "out_width", "channels"])
def _forward(x, weight, y, total, height, width, out_height, out_width, channels,
             PAD: tl.constexpr, FLIP: tl.constexpr, BLOCK: tl.constexpr):  # fmt: skip
    n = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    known = n < total
    c = n % channels
    p = n // channels
    j = p % out_width - PAD
    q = p // out_width
    i = q % out_height - PAD
    b = q // out_height
    acc = tl.zeros((BLOCK,), tl.float32)
    for t in tl.static_range(9):
        r = i + t // 3
        s = j + t % 3
        inside = known & (r >= 0) & (r < height) & (s >= 0) & (s < width)
        value = tl.load(x + ((b * height + r) * width + s) * channels + c, inside, 0.0)
        tap = tl.load(weight + c * 9 + (8 - t if FLIP else t), known, 0.0)
        acc += value * tap
    tl.store(y + n, acc, known)


@triton.jit(
    do_not_specialize=[
        "positions",
        "height",
        "width",
        "out_height",
        "out_width",
        "channels",
        "chunk",
    ]
)
def _weights(x, dy, partial, positions, height, width, out_height, out_width, channels, chunk,
             CHANNELS: tl.constexpr, POSITIONS: tl.constexpr):  # fmt: skip
    k = tl.program_id(1)
    c = tl.arange(0, CHANNELS)
    real = (c < channels)[None, :]
    begin = tl.program_id(0) * chunk
    end = tl.minimum(begin + chunk, positions)
    acc = tl.zeros((CHANNELS,), tl.float32)
    for start in range(begin, end, POSITIONS):
        m = start + tl.arange(0, POSITIONS)
        known = (m < end)[:, None] & real
        row = m // (out_height * out_width) * height + m // out_width % out_height + k // 3
        at = (row * width + m % out_width + k % 3) * channels
        value = tl.load(x + at[:, None] + c[None, :], known, 0.0)
        gradient = tl.load(dy + (m * channels)[:, None] + c[None, :], known, 0.0)
        acc += tl.sum(value * gradient, 0)
    tl.store(partial + tl.program_id(0) * channels * 9 + c * 9 + k, acc, c < channels)


def _run(x: Tensor, weight: Tensor, pad: int, flip: bool) -> Tensor:
    x = x.contiguous(memory_format=torch.channels_last)
    batch, channels, height, width = x.shape
    out = (height + 2 * pad - 2, width + 2 * pad - 2)
    y = torch.empty((batch, channels, *out), device=x.device, memory_format=torch.channels_last)
    total = y.numel()
    _forward[(triton.cdiv(total, BLOCK),)](
        x, weight.contiguous(), y, total, height, width, *out, channels,
        PAD=pad, FLIP=flip, BLOCK=BLOCK, num_warps=4,
    )  # fmt: skip
    return y


class Depthwise(torch.autograd.Function):
    """``apply(x, weight)``: 3x3, a kernel for each channel, no padding."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        """Convolve, and keep what the gradients take."""
        ctx.save_for_backward(x, weight)
        return _run(x, weight, 0, False)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, Tensor]:
        """Gradients of input and weights."""
        from eva.kernels.gpu_kernels import add_up

        x, weight = ctx.saved_tensors
        x, dy = (v.contiguous(memory_format=torch.channels_last) for v in (x, dy))
        batch, channels, height, width = x.shape
        positions = batch * dy.shape[2] * dy.shape[3]
        chunk = POSITIONS * triton.cdiv(positions, 64 * POSITIONS)
        chunks = triton.cdiv(positions, chunk)
        partial = torch.empty((chunks, channels * 9), device=x.device)
        _weights[(chunks, 9)](
            x, dy, partial, positions, height, width, dy.shape[2], dy.shape[3], channels, chunk,
            CHANNELS=max(16, triton.next_power_of_2(channels)), POSITIONS=POSITIONS, num_warps=4,
        )  # fmt: skip
        dw = add_up(partial).view_as(weight)
        dx = _run(dy, weight, 2, True) if ctx.needs_input_grad[0] else None
        return dx, dw


_plain = nn.Conv2d._conv_forward


def install(kind: str) -> None:
    """Choose how depthwise convolutions run: "cudnn" as PyTorch does, "native" or "triton"."""

    def forward(self: nn.Conv2d, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.groups > 1 and self.groups == self.in_channels == self.out_channels:
            if kind == "triton":
                return Depthwise.apply(x, weight)
            return F.conv2d(x.contiguous(), weight.contiguous(), bias, groups=self.groups)
        return _plain(self, x, weight, bias)

    nn.Conv2d._conv_forward = _plain if kind == "cudnn" else forward  # type: ignore[method-assign]
