"""Convolutions, norms and max-pools on a CPU: each lane of a vector is an image.

A step of experiment 5 took 13.8 ms with these convolutions and pools, 22.9 ms with PyTorch's, and
52.2 ms as PyTorch runs it (docs/records/benchmarks/folding.json: medians of 15 rounds, 2 threads of
a Xeon, torch 2.14; PyTorch's compiler made what lies between them then).

oneDNN fills the vectors of a processor with channels; with 9 of them, nearly half of each is empty.
``cpu_kernels.cpp`` fills them with the images of a batch. It is compiled by the compiler that
:func:`torch.compile` takes too, once for each kind of processor.

Maps are (batch, channels, height, width), stored batch last: ``x.permute(1, 2, 3, 0)`` is
contiguous. Those that are not are copied. All is float32, and the batch a multiple of 32.
The norms read a map once for what PyTorch reads it several times: statistics, scale and ReLU.

References:
    Zhang, Franchetti, Low: High Performance Zero-Memory Overhead Direct Convolutions, 2018 (sums
    of a block of outputs stay in registers).
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from eva.user_cache import writable_cache

SOURCE = Path(__file__).with_suffix(".cpp")
FLAGS = ("-std=c++17", "-O2", "-ffp-contract=fast", "-fopenmp", "-shared", "-fPIC")
# Other processors need no flag.
VECTOR_FLAGS = {"AVX512": ("-mavx512f", "-mfma"), "AVX2": ("-mavx2", "-mfma")}


def compiler() -> str:
    """The C++ compiler that is used here, by :func:`torch.compile` too."""
    return os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")


def build(folder: Path | None = None) -> Path:
    """Compile the kernels for this processor, unless that was done before; the library's place.

    Args:
        folder: Where libraries are kept; None is this user's cache.

    Raises:
        OSError: There is no compiler, or the folder can't be written to.
        RuntimeError: The compiler failed; says how.
    """
    folder = folder or writable_cache() / "kernels"
    command = [compiler(), *FLAGS]
    command += VECTOR_FLAGS.get(torch.backends.cpu.get_cpu_capability(), ())
    key = hashlib.sha256(SOURCE.read_bytes() + " ".join(command).encode()).hexdigest()[:16]
    library = folder / f"{key}.so"
    if not library.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            fresh = Path(scratch) / "kernels.so"
            done = subprocess.run(
                [*command, str(SOURCE), "-o", str(fresh)], capture_output=True, text=True
            )
            if done.returncode:
                raise RuntimeError(f"{' '.join(command)} failed: {done.stderr.strip()[-500:]}")
            fresh.replace(library)  # at once: others may be building too
    return library


@cache
def library() -> ctypes.CDLL:
    """The compiled kernels.

    Raises:
        OSError: There is no compiler, the cache can't be written to, or what was compiled can't be
            loaded.
        RuntimeError: The compiler failed; says how.
    """
    return ctypes.CDLL(str(build()))


def _call(function: str, sizes: tuple[int, ...], *tensors: Tensor | None) -> None:
    """Call a function of the library; sizes are in the order of its struct."""
    pointers = (ctypes.c_void_p(None if one is None else one.data_ptr()) for one in tensors)
    getattr(library(), function)((ctypes.c_long * len(sizes))(*sizes), *pointers)


def _empty(like: Tensor, *shape: int) -> Tensor:
    """Maps of a shape, (batch, channels, height, width), stored batch last."""
    batch, *rest = shape
    return like.new_empty((*rest, batch)).permute(3, 0, 1, 2)


def _stored(x: Tensor) -> Tensor:
    """The maps, stored batch last."""
    return x.permute(1, 2, 3, 0).contiguous().permute(3, 0, 1, 2)


def _one(value: float) -> Tensor:
    return torch.tensor(value)


class BatchLastConvolution(Function):
    """Of (batch, inputs, height, width) with (outputs, inputs / groups, side, side); stride 1."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, padding: int, groups: int
    ) -> Tensor:
        """Maps (batch, outputs, rows, columns)."""
        x, weight = _stored(x), weight.contiguous()
        batch, _, height, width = x.shape
        outputs, inputs, side, _ = weight.shape
        ctx.sizes = batch, groups, inputs, height, width, outputs // groups, side, padding
        ctx.save_for_backward(x, weight)
        less = side - 1 - 2 * padding
        y = _empty(x, batch, outputs, height - less, width - less)
        _call("conv", ctx.sizes, x, weight, None if bias is None else bias.contiguous(), y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        """Of x, weight and bias, as far as they are wanted."""
        x, weight = ctx.saved_tensors
        dy, dx, dw, db = _stored(dy), None, None, None
        if ctx.needs_input_grad[0]:
            dx = _empty(x, *x.shape)
            _call("conv_input_gradient", ctx.sizes, dy, weight, dx)
        if ctx.needs_input_grad[1]:
            dw = torch.empty_like(weight)
            _call("conv_weight_gradient", ctx.sizes, x, dy, dw)
        if ctx.needs_input_grad[2]:
            db = dy.sum((0, 2, 3))
        return dx, dw, db, None, None


class MaxPool(Function):
    """The largest of each window of (batch, channels, height, width); square, unpadded windows."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, side: int, stride: int) -> Tensor:
        """Maps (batch, channels, rows, columns)."""
        x = _stored(x)
        rows, columns = ((length - side) // stride + 1 for length in x.shape[2:])
        y = _empty(x, *x.shape[:2], rows, columns)
        ctx.sizes = (*x.shape, side, stride, rows, columns)
        ctx.save_for_backward(x, y)
        _call("max_pool", ctx.sizes, x, y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        """Of x: all of a window's goes to the first of its largest."""
        x, y = ctx.saved_tensors
        dx = _empty(x, *x.shape)
        _call("max_pool_gradient", ctx.sizes, _stored(dy), x, y, dx)
        return dx, None, None


class Norm(Function):
    """A BatchNorm by the statistics of (batch, C, height, width), and a ReLU of it if asked."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, relu: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The map, and mean and variance of ``x``, (C,) each."""
        x, weight = _stored(x), weight.contiguous()
        y, mean, var = _empty(x, *x.shape), torch.empty_like(weight), torch.empty_like(weight)
        ctx.sizes, ctx.eps = (*x.shape, relu), _one(eps)
        _call("norm", ctx.sizes, x, weight, bias.contiguous(), ctx.eps, y, mean, var)
        ctx.mark_non_differentiable(mean, var)
        ctx.save_for_backward(x, y, weight, mean, var)
        return y, mean, var

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        """Of x, weight and bias."""
        x, y, weight, mean, var = ctx.saved_tensors
        dx, dweight, dbias = _empty(x, *x.shape), torch.empty_like(mean), torch.empty_like(mean)
        given = (_stored(dy), x, y, weight, mean, var, ctx.eps)
        _call("norm_gradient", ctx.sizes, *given, dx, dweight, dbias)
        return dx, dweight, dbias, None, None


class FoldedNorm(Function):
    """A BatchNorm of a map, or of its ReLU, in the weights of the convolution that reads it.

    Where a max-pool lies between the two, each channel has the sign of its scale: the largest of
    ``scale * x + shift`` is where ``x`` is largest, or, with a negative scale, where ``-x`` is.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        gamma: Tensor,
        beta: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        groups: int,
        eps: float,
        relu: bool,
        pooled: bool,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """The map that a convolution reads, its weights and bias, and statistics, (C,) each.

        Args:
            ctx: Of autograd.
            x: (batch, C, height, width).
            gamma: Weight of the norm, (C,).
            beta: Its bias, (C,).
            weight: Of the convolution, (outputs, C / groups, side, side).
            bias: Its bias, (outputs,).
            groups: Of the convolution.
            eps: Of the norm.
            relu: Whether the norm is of a ReLU of ``x``.
            pooled: Whether a max-pool lies between.
        """
        x, weight = _stored(x), weight.contiguous()
        outputs, inputs, side, _ = weight.shape
        y, mean, var = _empty(x, *x.shape), torch.empty_like(gamma), torch.empty_like(gamma)
        sign = torch.ones_like(gamma)
        if pooled:
            sign[gamma < 0] = -1
        ctx.sizes = (*x.shape, relu)
        ctx.fold = (groups, outputs // groups, inputs, side * side)
        _call("moments", ctx.sizes, x, sign, y, mean, var)
        inverse = (var + eps).rsqrt_()
        scale = inverse * gamma
        shift = beta - mean * scale
        taken, moved = torch.empty_like(weight), weight.new_empty(outputs)
        shifted = None if bias is None else bias.contiguous()
        _call("fold", ctx.fold, weight, shifted, sign, scale, shift, taken, moved)
        ctx.mark_non_differentiable(mean, var)
        ctx.save_for_backward(y, gamma, weight, sign, mean, inverse, scale, shift)
        return y, taken, moved, mean, var

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, dy: Tensor, dtaken: Tensor, dmoved: Tensor, *_: Tensor
    ) -> tuple[Tensor | None, ...]:
        """Of x, gamma, beta, weight and bias."""
        y, gamma, weight, sign, mean, inverse, scale, shift = ctx.saved_tensors
        dweight = torch.empty_like(weight)
        dscale, dshift = torch.empty_like(mean), torch.empty_like(mean)
        dtaken, dmoved = dtaken.contiguous(), dmoved.contiguous()
        given = (dtaken, dmoved, weight, sign, scale, shift)
        _call("fold_gradient", ctx.fold, *given, dweight, dscale, dshift)
        dscale -= mean * dshift
        dvar = dscale * gamma * inverse**3 * -0.5
        dx = _empty(y, *y.shape)
        _call("moments_gradient", ctx.sizes, _stored(dy), y, sign, mean, -scale * dshift, dvar, dx)
        dbias = dmoved if ctx.needs_input_grad[4] else None
        return dx, dscale * inverse, dshift, dweight, dbias, None, None, None, None
