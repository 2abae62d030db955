"""The tensors in whatever a module takes or returns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch


def tensors_in(value: Any) -> list[torch.Tensor]:
    """Every tensor in nested lists, dicts, dataclasses and plain objects, in order."""
    if isinstance(value, tuple) and all(isinstance(v, torch.Tensor) for v in value):
        return list(value)  # nearly always
    return [t for _, t in named_tensors(value)]


def named_tensors(value: Any, name: str = "") -> list[tuple[str, torch.Tensor]]:
    """Every tensor in a structure with its place: ``"out"``, ``"features.0"``."""
    if isinstance(value, torch.Tensor):
        return [(name, value)]
    items: Sequence[tuple[Any, Any]]
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        items = list(zip(value._fields, value, strict=True))
    elif isinstance(value, (list, tuple)):
        items = list(enumerate(value))
    elif hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
        items = [(f, getattr(value, f)) for f in value.__dataclass_fields__]
    elif value is None or isinstance(value, (str, int, float, complex, type)):
        return []
    elif hasattr(value, "tensors") and isinstance(value.tensors, torch.Tensor):
        return [(name, value.tensors)]
    else:
        return []
    return [
        found
        for key, item in items
        for found in named_tensors(item, f"{name}.{key}" if name else str(key))
    ]


def flat_tensors(value: Any) -> list[torch.Tensor]:
    """Every tensor among the arguments or results of an operation: lists, nothing else."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, (list, tuple)):
        return [t for v in value for t in flat_tensors(v)]
    return []


def size_of(tensor: torch.Tensor) -> tuple[int, ...]:
    """The shape; of a nested tensor, whose parts have shapes of their own, their number."""
    if tensor.is_nested and tensor.layout == torch.strided:
        return (tensor.size(0),)
    return tuple(tensor.shape)
