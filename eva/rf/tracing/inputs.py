"""The model and the tensors that a trace runs it on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from eva.errors import ForwardError, InputSizeError

Size = Sequence[int] | Sequence[Sequence[int]] | Mapping[str, Sequence[int]]


def checked_model(model: Any) -> nn.Module:
    """The module itself, compiled ones unwrapped.

    Raises:
        ForwardError: Not a module, or a lazy one that never ran.
    """
    if isinstance(model, type) and issubclass(model, nn.Module):
        raise ForwardError(
            f"Expected a module, got the class {model.__name__}.", f"Call it: {model.__name__}()."
        )
    if not isinstance(model, nn.Module):
        raise ForwardError(
            f"Expected a torch.nn.Module, got {type(model).__name__}.",
            "Pass the model itself, not its output or its state dict.",
        )
    inner = getattr(model, "_orig_mod", None)
    found: nn.Module = inner if isinstance(inner, nn.Module) else model
    for path, layer in found.named_modules():
        for name, tensor in (*layer._parameters.items(), *layer._buffers.items()):
            if is_lazy(tensor):
                raise ForwardError(
                    f"The lazy layer of {f'{path}.{name}'.lstrip('.')!r} has no shape yet.",
                    "Run the model once on a real batch; that decides the shapes of lazy layers.",
                )
    return found


def example(
    model: nn.Module,
    input_size: Size | None,
    dtype: torch.dtype | None,
    batch: int,
) -> tuple[list[Any], dict[str, Any]]:
    """Meta tensors of the sizes asked for, as arguments of forward."""
    if input_size is None:
        raise InputSizeError(
            "The input size is missing.",
            "Give the size of one input without batch, such as (1, 28, 28).",
        )
    if dtype is None:
        floats = (p.dtype for p in model.parameters() if p.is_floating_point())
        dtype = next(floats, torch.get_default_dtype())

    def make(size: Any) -> torch.Tensor:
        whole = isinstance(size, (list, tuple)) and all(
            isinstance(n, int) and not isinstance(n, bool) for n in size
        )
        if not whole or not size or min(size) < 1:
            raise InputSizeError(
                f"An input size is a tuple of positive whole numbers without batch; got {size!r}.",
                "Example: (1, 28, 28) for one channel of 28 x 28 pixels.",
            )
        return torch.empty((batch, *size), dtype=dtype, device="meta")

    if isinstance(input_size, Mapping):
        return [], {name: make(size) for name, size in input_size.items()}
    if (
        isinstance(input_size, (list, tuple))
        and input_size
        and all(isinstance(s, (list, tuple)) for s in input_size)
    ):
        return [make(s) for s in input_size], {}
    return [make(input_size)], {}


def placed(value: Any, device: torch.device) -> Any:
    """A fresh tensor of the same size there; random numbers where none were given."""
    if not isinstance(value, torch.Tensor):
        return value
    if device.type == "meta":
        return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")
    if value.device.type == "meta":
        if value.is_floating_point():
            return torch.rand(value.shape, dtype=value.dtype, device=device)
        return torch.zeros(value.shape, dtype=value.dtype, device=device)
    return value.detach().to(device).clone()
