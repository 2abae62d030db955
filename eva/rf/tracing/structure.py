"""The tensors in whatever a module takes or returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import torch


def tensors_in(value: Any) -> list[torch.Tensor]:
    """Every tensor in nested lists, dicts, dataclasses and plain objects, in order."""
    if isinstance(value, tuple) and all(isinstance(v, torch.Tensor) for v in value):
        return list(value)  # nearly always
    return [t for _, t in named_tensors(value)]


def named_tensors(
    value: Any, name: str = "", above: tuple[int, ...] = ()
) -> list[tuple[str, torch.Tensor]]:
    """Every tensor in a structure with its place: ``"out"``, ``"features.0"``.

    Args:
        value: Lists, tuples, mappings, dataclasses and plain objects of these are looked into.
        name: Of its own place; empty at the top.
        above: ids of the structures that it is inside of: none is entered again.
    """
    if isinstance(value, torch.Tensor):
        return [(name, value)]
    items: Sequence[tuple[Any, Any]]
    if isinstance(value, (dict, Mapping)):
        items = list(value.items())
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        items = list(zip(value._fields, value, strict=True))
    elif isinstance(value, (list, tuple)):
        items = list(enumerate(value))
    elif value is None or isinstance(value, (str, int, float, complex, type)):
        return []
    elif hasattr(value, "tensors") and isinstance(value.tensors, torch.Tensor):
        return [(name, value.tensors)]
    elif is_record(value):
        items = list(vars(value).items())
    else:
        return []
    if id(value) in above:
        return []
    return [
        found
        for key, item in items
        for found in named_tensors(item, f"{name}.{key}" if name else str(key), (*above, id(value)))
    ]


def is_record(value: Any) -> bool:
    """Whether it is an object that keeps its parts as attributes: a dataclass, a batch."""
    foreign = isinstance(value, (torch.nn.Module, type, ModuleType)) or callable(value)
    return hasattr(value, "__dict__") and not foreign and type(value).__module__ != "builtins"


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
