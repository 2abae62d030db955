"""A model compiled by :func:`torch.compile`, with what eva changes in it first."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from eva.errors import DeviceError
from eva.kernels.cpu_dispatch import fits_cpu_kernel, use_batch_last
from eva.kernels.cpu_kernels import compiler
from eva.kernels.folding import fold

Compiled = Callable[..., Any]


def compile_model(model: nn.Module, batch_size: int) -> Callable[[Tensor], Tensor]:
    """Compile a model; its BatchNorms are folded, and small convolutions are ours, where they can.

    Args:
        model: Maps (batch, ...) to anything.
        batch_size: What it is compiled for. A batch of another size goes to the model itself: to
            compile again for the last, smaller one of an epoch takes longer than that batch.

    Raises:
        DeviceError: There is no C++ compiler.
    """
    if sys.platform != "win32" and shutil.which(compiler()) is None:
        raise DeviceError(
            f"compiling a model takes a C++ compiler, and there is no {compiler()} here.",
            "Install one, name another with CXX, or train without --compile.",
        )
    compiled = torch.compile(model, backend=_backend, dynamic=False)

    def forward(images: Tensor) -> Tensor:
        scores: Tensor = (compiled if len(images) == batch_size else model)(images)
        return scores

    return forward


def _backend(module: fx.GraphModule, inputs: Sequence[Tensor]) -> Compiled:
    ours = fits_cpu_kernel(module)  # asked first: operations that folding adds tell no shapes
    fold(module)
    if ours:
        use_batch_last(module)
    inductor: Callable[..., Compiled] = torch._dynamo.lookup_backend("inductor")
    return inductor(module, inputs)
