"""Convolutions, norms and max-pools on a CPU: each lane of a vector is an image.

oneDNN fills the vectors of a processor with channels; with 9 of them, nearly half of each is empty.
``cpu_kernels.cpp`` fills them with the images of a batch. It is compiled by the compiler that
:func:`torch.compile` takes too, once for each kind of processor.

Maps are (batch, channels, height, width), stored batch last: ``x.permute(1, 2, 3, 0)`` is
contiguous. Those that are not are copied. All is float32, and the batch a multiple of 32.
The operations are ``conv``, ``max_pool``, ``moments`` and ``norm`` of ``torch.ops.eva``. The last
two read a map once for what PyTorch reads it several times: statistics, scale and ReLU.

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


def _conv_sizes(x: Tensor, weight: Tensor, padding: int, groups: int) -> tuple[int, ...]:
    batch, _, height, width = x.shape
    outputs, inputs, side, _ = weight.shape
    return batch, groups, inputs, height, width, outputs // groups, side, padding


def _conv_result(
    x: Tensor, weight: Tensor, bias: Tensor | None, padding: int, groups: int
) -> Tensor:
    less = weight.shape[-1] - 1 - 2 * padding
    return _empty(x, len(x), len(weight), x.shape[2] - less, x.shape[3] - less)


def _conv(x: Tensor, weight: Tensor, bias: Tensor | None, padding: int, groups: int) -> Tensor:
    y = _conv_result(x, weight, bias, padding, groups)
    sizes = _conv_sizes(x, weight, padding, groups)
    stored, shift = _stored(x), None if bias is None else bias.contiguous()
    _call("conv", sizes, stored, weight.contiguous(), shift, y)
    return y


def _conv_input_gradient(
    dy: Tensor, x: Tensor, weight: Tensor, padding: int, groups: int
) -> Tensor:
    dx = _empty(x, *x.shape)
    sizes = _conv_sizes(x, weight, padding, groups)
    _call("conv_input_gradient", sizes, _stored(dy), weight.contiguous(), dx)
    return dx


def _conv_weight_gradient(
    dy: Tensor, x: Tensor, weight: Tensor, padding: int, groups: int
) -> Tensor:
    dw = weight.new_empty(weight.shape)
    sizes = _conv_sizes(x, weight, padding, groups)
    _call("conv_weight_gradient", sizes, _stored(x), _stored(dy), dw)
    return dw


def _pool_sizes(x: Tensor, y: Tensor, side: int, stride: int) -> tuple[int, ...]:
    return (*x.shape, side, stride, *y.shape[2:])


def _pool_result(x: Tensor, side: int, stride: int) -> Tensor:
    rows, columns = ((length - side) // stride + 1 for length in x.shape[2:])
    return _empty(x, *x.shape[:2], rows, columns)


def _pool(x: Tensor, side: int, stride: int) -> Tensor:
    y = _pool_result(x, side, stride)
    _call("max_pool", _pool_sizes(x, y, side, stride), _stored(x), y)
    return y


def _pool_gradient(dy: Tensor, x: Tensor, y: Tensor, side: int, stride: int) -> Tensor:
    dx = _empty(x, *x.shape)
    sizes = _pool_sizes(x, y, side, stride)
    _call("max_pool_gradient", sizes, _stored(dy), _stored(x), _stored(y), dx)
    return dx


def _map_sizes(x: Tensor, relu: bool) -> tuple[int, ...]:
    return (*x.shape, relu)


def _norm_result(x: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    return _empty(x, *x.shape), x.new_empty(x.shape[1]), x.new_empty(x.shape[1])


def _moments(x: Tensor, relu: bool) -> tuple[Tensor, Tensor, Tensor]:
    results = _norm_result(x)
    _call("moments", _map_sizes(x, relu), _stored(x), *results)
    return results


def _moments_gradient(
    dy: Tensor, dmean: Tensor, dvar: Tensor, y: Tensor, mean: Tensor, relu: bool
) -> Tensor:
    dx = _empty(y, *y.shape)
    channels = (mean, dmean.contiguous(), dvar.contiguous())
    _call("moments_gradient", _map_sizes(y, relu), _stored(dy), y, *channels, dx)
    return dx


def _norm(
    x: Tensor, weight: Tensor, bias: Tensor, eps: float, relu: bool
) -> tuple[Tensor, Tensor, Tensor]:
    results = _norm_result(x)
    channels = (weight.contiguous(), bias.contiguous(), torch.tensor(eps))
    _call("norm", _map_sizes(x, relu), _stored(x), *channels, *results)
    return results


def _norm_gradient(
    dy: Tensor,
    x: Tensor,
    y: Tensor,
    weight: Tensor,
    mean: Tensor,
    var: Tensor,
    eps: float,
    relu: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    results = _norm_result(x)
    channels = (weight.contiguous(), mean, var, torch.tensor(eps))
    _call("norm_gradient", _map_sizes(x, relu), _stored(dy), _stored(x), y, *channels, *results)
    return results


def _conv_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, _, *ctx.options = inputs
    ctx.save_for_backward(x, weight)


def _conv_backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
    ops, wanted = torch.ops.eva, ctx.needs_input_grad
    arguments = (dy, *ctx.saved_tensors, *ctx.options)
    dx = ops.conv_input_gradient(*arguments) if wanted[0] else None
    dw = ops.conv_weight_gradient(*arguments) if wanted[1] else None
    return dx, dw, dy.sum((0, 2, 3)) if wanted[2] else None, None, None


def _pool_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, *ctx.options = inputs
    ctx.save_for_backward(x, output)


def _pool_backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
    return torch.ops.eva.max_pool_gradient(dy, *ctx.saved_tensors, *ctx.options), None, None


def _moments_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    y, mean, _ = output
    ctx.relu = inputs[1]
    ctx.save_for_backward(y, mean)


def _moments_backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
    return torch.ops.eva.moments_gradient(*gradients, *ctx.saved_tensors, ctx.relu), None


def _norm_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    x, weight, _, *ctx.options = inputs
    y, mean, var = output
    ctx.mark_non_differentiable(mean, var)
    ctx.save_for_backward(x, y, weight, mean, var)


def _norm_backward(ctx: Any, dy: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
    found = torch.ops.eva.norm_gradient(dy, *ctx.saved_tensors, *ctx.options)
    return (*found, None, None)


_OPERATIONS: Any = torch.library.Library("eva", "DEF")  # type: ignore[no-untyped-call]
_CONV = "int padding, int groups"
_POOL = "int side, int stride"
_THREE = "(Tensor, Tensor, Tensor)"
for _signature, _run, _result in (
    (f"conv(Tensor x, Tensor weight, Tensor? bias, {_CONV}) -> Tensor", _conv, _conv_result),
    (
        f"conv_input_gradient(Tensor dy, Tensor x, Tensor weight, {_CONV}) -> Tensor",
        _conv_input_gradient,
        lambda dy, x, *_: _empty(x, *x.shape),
    ),
    (
        f"conv_weight_gradient(Tensor dy, Tensor x, Tensor weight, {_CONV}) -> Tensor",
        _conv_weight_gradient,
        lambda dy, x, weight, *_: weight.new_empty(weight.shape),
    ),
    (f"max_pool(Tensor x, {_POOL}) -> Tensor", _pool, _pool_result),
    (
        f"max_pool_gradient(Tensor dy, Tensor x, Tensor y, {_POOL}) -> Tensor",
        _pool_gradient,
        lambda dy, x, *_: _empty(x, *x.shape),
    ),
    (f"moments(Tensor x, bool relu) -> {_THREE}", _moments, _norm_result),
    (
        "moments_gradient(Tensor dy, Tensor dmean, Tensor dvar, Tensor y, Tensor mean, bool relu)"
        " -> Tensor",
        _moments_gradient,
        lambda dy, dmean, dvar, y, *_: _empty(y, *y.shape),
    ),
    (
        f"norm(Tensor x, Tensor weight, Tensor bias, float eps, bool relu) -> {_THREE}",
        _norm,
        _norm_result,
    ),
    (
        "norm_gradient(Tensor dy, Tensor x, Tensor y, Tensor weight, Tensor mean, Tensor var, "
        f"float eps, bool relu) -> {_THREE}",
        _norm_gradient,
        lambda dy, x, *_: _norm_result(x),
    ),
):
    _OPERATIONS.define(_signature)
    _name = _signature.partition("(")[0]
    _OPERATIONS.impl(_name, _run, "CPU")
    torch.library.register_fake(f"eva::{_name}", _result)
torch.library.register_autograd("eva::conv", _conv_backward, setup_context=_conv_context)
torch.library.register_autograd("eva::max_pool", _pool_backward, setup_context=_pool_context)
torch.library.register_autograd("eva::moments", _moments_backward, setup_context=_moments_context)
torch.library.register_autograd("eva::norm", _norm_backward, setup_context=_norm_context)
