"""Which convolutions of a model go to our own kernels, and how they get there."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from eva.kernels.targets import pair

GPU_CHANNELS = 32  # at most, of inputs and of outputs; wider ones are cuDNN's
SIDE = 5  # at most
DTYPES = {torch.float32, torch.bfloat16, torch.float16}
CONV2D = (torch.conv2d, torch.ops.aten.conv2d, torch.ops.aten.conv2d.default)


def small_convolutions(
    device: torch.device, *, enabled: bool = True
) -> AbstractContextManager[object]:
    """Where CUDA and Triton are, a context in which small convolutions run by our own kernels.

    Elsewhere, or where they are not wanted, it does nothing.
    """
    if enabled and device.type == "cuda" and _usable():
        return SmallConvolutions(device)
    return nullcontext()


class SmallConvolutions(TorchFunctionMode):
    """Hands small convolutions on a device to :mod:`eva.kernels.gpu_kernels`; nothing else.

    The model need not know: a mode sees every function of PyTorch that is called in its context.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self._device = device

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if function in CONV2D:
            return self._conv2d(function, *args, **(kwargs or {}))
        return function(*args, **(kwargs or {}))

    def _conv2d(
        self,
        function: Callable[..., Any],
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Any:
        """A convolution; names and defaults are PyTorch's."""
        kind = self._device.type
        cast = torch.is_autocast_enabled(kind)
        plain = groups == 1 and pair(stride) == pair(dilation) == (1, 1)
        if not (
            plain
            and input.device.type == kind
            and fits_gpu_kernel(input, weight, padding, cast=cast)
        ):
            return function(input, weight, bias, stride, padding, dilation, groups)
        from eva.kernels.gpu_kernels import Convolution

        if cast:
            dtype = torch.get_autocast_dtype(kind)
            input, weight = input.to(dtype), weight.to(dtype)
        scores = Convolution.apply(input, weight, pair(padding)[0])
        return scores if bias is None else scores + bias.to(scores.dtype).view(1, -1, 1, 1)


def fits_gpu_kernel(x: Tensor, weight: Tensor, padding: Any, *, cast: bool = False) -> bool:
    """Whether the kernels can take a convolution of stride 1 with these weights and this padding.

    Args:
        x: Should be (batch, inputs, height, width).
        weight: Should be (outputs, inputs, side, side).
        padding: A number of pixels, one for each axis, or a name ("same"), which does not fit.
        cast: Autocast will bring both to one precision; otherwise they must have the same.
    """
    if not (x.ndim == weight.ndim == 4 and x.numel() and x.shape[1] == weight.shape[1]):
        return False
    batch, _, height, width = x.shape
    outputs, inputs, side, other_side = weight.shape
    rows, columns = pair(padding)
    return (
        max(inputs, outputs) <= GPU_CHANNELS
        and side == other_side <= min(SIDE, height, width)
        and rows == columns
        and isinstance(rows, int)
        and 0 <= rows < side
        # The kernels count numbers in 32 bits, those of a padded map too.
        and batch * max(inputs, outputs) * (height + 2 * rows) * (width + 2 * rows) < 2**31
        and {x.dtype, weight.dtype} <= DTYPES
        and (cast or x.dtype == weight.dtype)
        and torch.backends.cudnn.allow_tf32  # whoever turns TF32 off gets full float32
    )


@cache
def _usable() -> bool:
    """Whether the GPU has matrix units for TF32 and the kernels compile here."""
    try:
        from eva.kernels.gpu_kernels import add_up

        if torch.cuda.get_device_capability() < (8, 0):  # older than Ampere
            return False
        add_up(torch.zeros((1, 1), device="cuda"))  # the smallest, and every training needs it
    except Exception as error:  # whatever it was, cuDNN does the same work
        warnings.warn(
            "eva's kernels for small convolutions can't be compiled here, so cuDNN is used, which "
            f"takes up to three times as long: {error!r}. Install Triton, a C compiler and the "
            "headers of Python (gcc and python3-dev on Debian), or go on without.",
            RuntimeWarning,
            stacklevel=4,
        )
        return False
    return True
