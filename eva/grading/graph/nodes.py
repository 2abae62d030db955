"""What a graph is made of: nodes, programs, stored tensors, and the operations that may be named.

Operations are named as PyTorch's overloads are ("aten.conv2d.default"), or "py.mul" for arithmetic
on sizes. Values are named; every name is written once, before it is read.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from eva.errors import GradingError

SIZE_ARITHMETIC: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "floordiv": operator.floordiv,
    "truediv": operator.truediv,
    "mod": operator.mod,
    "neg": operator.neg,
    "pow": operator.pow,
}
"""Arithmetic on sizes, which PyTorch's graphs leave to Python."""
_FORBIDDEN = {"from_file", "set_", "resize_", "_resize_output_", "record_stream"}


class Role(StrEnum):
    """Where a stored tensor came from; a constant was in an attribute, a closure or a literal."""

    PARAMETER = "parameter"
    BUFFER = "buffer"
    CONSTANT = "constant"


@dataclass(frozen=True)
class Ref:
    """A value by its name."""

    name: str


@dataclass(frozen=True)
class Device:
    """Stands for the device of the input."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """One operation.

    Attributes:
        op: Its name.
        args: Literals, :class:`Ref`, :class:`Device`, dtypes, memory formats, tuples of these.
        kwargs: The same by name.
        outputs: Names of what it gives; "" for a part of a tuple that nothing reads.
        many: It gives a tuple or list, of which ``outputs`` are the parts.
        grad: Whether gradients flow through; False inside ``torch.no_grad``.
    """

    op: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: tuple[str, ...]
    many: bool = False
    grad: bool = True

    def reads(self) -> list[str]:
        """Names of the values that it reads, in order, repeated as they are."""
        return [ref.name for ref in _refs((self.args, tuple(self.kwargs.values())))]


@dataclass(frozen=True, kw_only=True)
class Program:
    """Nodes in the order in which they run; ``output`` is what the model returns."""

    input: str
    nodes: tuple[Node, ...]
    output: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Stored:
    """A tensor that the computation reads and that is not computed from the image."""

    name: str
    role: Role
    data: Tensor
    trainable: bool


@lru_cache(maxsize=4096)
def resolve(op: str) -> Callable[..., Any]:
    """The function of an operation.

    Raises:
        GradingError: It is none of PyTorch's own, or one that a model has no use for.
    """
    namespace, _, rest = op.partition(".")
    name, _, overload = rest.partition(".")
    if namespace == "py" and rest in SIZE_ARITHMETIC:
        return SIZE_ARITHMETIC[rest]
    if namespace == "aten" and name not in _FORBIDDEN and name.isidentifier():
        found = getattr(getattr(torch.ops.aten, name, None), overload, None)
        if isinstance(found, torch._ops.OpOverload):
            return found
    raise GradingError(
        f"operation {op!r} is not one of PyTorch's tensor operations.",
        "A network may use what torch and torch.nn offer, and nothing of its own.",
    )


def _refs(value: Any) -> Iterator[Ref]:
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _refs(item)
