"""Constant tensors with zeros: masks of weights and of maps, followed through a forward pass.

A product with a zero sees nothing. So it is known of every constant that is no parameter where it
is zero; and of what is made of it by moving, copying or multiplying. Of anything else that is made
of it, it is only known that there may be zeros. Parameters are taken as not zero: they can learn.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

ZEROS_ATTRIBUTE = "_eva_zeros"  # of a constant tensor: booleans of its shape, or True (somewhere)
LARGEST_CONSTANT = 1 << 20  # elements of a constant that is looked at

MOVED = {
    "view", "_unsafe_view", "reshape", "_reshape_alias", "squeeze", "unsqueeze", "permute", "t",
    "transpose", "expand", "slice", "select", "clone", "detach", "alias", "flip", "roll", "repeat",
    "lift_fresh", "lift_fresh_copy", "unbind", "split", "split_with_sizes", "cat", "stack",
    "tril", "triu",
}  # fmt: skip
SAME = {"_to_copy", "abs", "neg", "sqrt", "square", "sign", "contiguous"}
NEVER_ZERO = {"exp", "sigmoid", "_softmax", "softmax", "cos", "rsqrt", "reciprocal", "softplus"}
JOINED = {"mul", "bitwise_and", "logical_and"}


def zeros_of(tensor: torch.Tensor) -> Any:
    """Where the numbers of a real tensor are zero; ``None`` if nowhere, or if it is too large."""
    if (
        tensor.device.type == "meta"
        or not 0 < tensor.numel() <= LARGEST_CONSTANT
        or tensor.ndim == 0
    ):
        return None
    if tensor.is_complex() or tensor.is_quantized or tensor.layout != torch.strided:
        return None
    found: Any = (tensor.detach() == 0).cpu().numpy()
    return found if found.any() else None


def followed(func: Any, name: str, args: Mapping[str, Any], given: tuple[Any, ...]) -> Any:
    """Where the result of an operation on constants is zero: booleans, True, or ``None``.

    Args:
        func: The operation.
        name: Its name, such as ``aten.mul``.
        args: Its arguments by name.
        given: Its positional arguments.
    """
    short = name.removeprefix("aten.")
    tensors = [t for v in args.values() for t in _flat(v)]
    known: list[Any] = [getattr(t, ZEROS_ATTRIBUTE, None) for t in tensors]
    if all(z is None for z in known) and short not in ("tril", "triu"):
        return None
    if short in NEVER_ZERO:
        return None
    if any(z is True for z in known):
        return True
    if short in SAME:
        return known[0]
    if short in ("logical_not", "bitwise_not") and tensors[0].dtype is torch.bool:
        return np.logical_not(known[0])
    try:
        if short in JOINED:
            wide = np.broadcast_shapes(*(tuple(t.shape) for t in tensors))
            out = np.zeros(wide, dtype=bool)
            for z in known:
                out |= False if z is None else z
            return out
        if short in MOVED:
            alive = func(*_alive(given))
            return [~t.numpy() for t in alive] if isinstance(alive, (list, tuple)) else (
                ~alive.numpy()
            )  # fmt: skip
    except (RuntimeError, ValueError, TypeError):
        return True
    return True


def _flat(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    return [t for v in value for t in _flat(v)] if isinstance(value, (list, tuple)) else []


def _alive(value: Any) -> Any:
    """The arguments with booleans in place of the numbers: true where they are not zero."""
    if isinstance(value, torch.Tensor):
        zeros = getattr(value, ZEROS_ATTRIBUTE, None)
        if zeros is None:
            return torch.ones(value.shape, dtype=torch.bool)
        return torch.from_numpy(~zeros)
    if isinstance(value, (list, tuple)):
        return type(value)(_alive(v) for v in value)
    return value
