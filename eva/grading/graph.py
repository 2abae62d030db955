"""A model as a graph: operations, their arguments and the stored numbers that they read.

A :class:`Graph` holds two programs, one for train and one for eval mode, over one set of stored
tensors. It knows nothing of the Python that it came from: :meth:`Graph.to_json` and
:meth:`Graph.to_bytes` carry it to another process, :class:`~eva.grading.execution.GraphModule`
runs and trains it.

Operations are named as PyTorch's overloads are ("aten.conv2d.default"), or "py.mul" for arithmetic
on sizes. Values are named; every name is written once, before it is read.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor

from eva.errors import GradingError
from eva.grading.verdict import Json

SCHEMA = 1
MAX_NODES = 4000
MAX_STORED = 4_000_000  # numbers; far above what any rule admits, far below what hurts
SIZES: dict[str, Callable[..., Any]] = {
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
_DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64,
        torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64,
    )
}  # fmt: skip
_FORMATS = {
    str(value).removeprefix("torch."): value
    for value in (torch.contiguous_format, torch.channels_last, torch.preserve_format)
}


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


@dataclass(frozen=True, kw_only=True, eq=False)
class Graph:
    """Both programs of a model and its stored tensors, each shared tensor once."""

    train: Program
    eval: Program
    stored: tuple[Stored, ...]

    def to_json(self) -> dict[str, Json]:
        """Everything but the numbers."""
        return {
            "schema": SCHEMA,
            "stored": [
                {
                    "name": s.name,
                    "role": s.role.value,
                    "dtype": str(s.data.dtype).removeprefix("torch."),
                    "shape": list(s.data.shape),
                    "trainable": s.trainable,
                }
                for s in self.stored
            ],
            "train": _program_to_json(self.train),
            "eval": _program_to_json(self.eval),
        }

    def to_bytes(self) -> bytes:
        """The numbers of all stored tensors in order, little-endian in their own dtype."""
        return b"".join(
            bytes(s.data.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
            for s in self.stored
        )

    @classmethod
    def from_json(cls, value: object, numbers: bytes) -> Graph:
        """Read what :meth:`to_json` and :meth:`to_bytes` wrote, trusting neither.

        Raises:
            GradingError: A key, type, operation, name or size is wrong; the message says where.
        """
        top = _table(value, "the graph")
        schema = _get(top, "schema", int, "the graph")
        if schema != SCHEMA:
            raise GradingError(f"the graph has schema {schema}; this eva reads schema {SCHEMA}.")
        stored = tuple(_read_stored(_get(top, "stored", list, "the graph"), numbers))
        names = [s.name for s in stored]
        if len(set(names)) < len(names):
            raise GradingError("two stored tensors of the graph have one name.")
        graph = cls(
            train=_read_program(top.get("train"), "train"),
            eval=_read_program(top.get("eval"), "eval"),
            stored=stored,
        )
        graph.validate()
        return graph

    def validate(self) -> None:
        """Check that every name is written before it is read and every operation is known.

        Raises:
            GradingError: The message names the program, the node and the name.
        """
        for mode, program in (("train", self.train), ("eval", self.eval)):
            if len(program.nodes) > MAX_NODES:
                raise GradingError(
                    f"the {mode} program has {len(program.nodes):,} operations; "
                    f"at most {MAX_NODES:,} are allowed."
                )
            known = {program.input, *(s.name for s in self.stored)}
            for index, node in enumerate(program.nodes):
                place = f"{mode} program, node {index} ({node.op})"
                resolve(node.op)
                for name in node.reads():
                    if name not in known:
                        raise GradingError(f"{place} reads {name!r}, which nothing has written.")
                for name in filter(None, node.outputs):
                    if name in known:
                        raise GradingError(f"{place} writes {name!r} a second time.")
                    known.add(name)
            if program.output not in known:
                raise GradingError(f"the {mode} program returns {program.output!r}, never written.")


def resolve(op: str) -> Callable[..., Any]:
    """The function of an operation.

    Raises:
        GradingError: It is none of PyTorch's own, or one that a model has no use for.
    """
    room, _, rest = op.partition(".")
    name, _, overload = rest.partition(".")
    if room == "py" and rest in SIZES:
        return SIZES[rest]
    if room == "aten" and name not in _FORBIDDEN and name.isidentifier():
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


def _program_to_json(program: Program) -> Json:
    nodes: list[Json] = [
        {
            "op": node.op,
            "args": [_encode(a) for a in node.args],
            "kwargs": {k: _encode(v) for k, v in node.kwargs.items()},
            "outputs": list(node.outputs),
            "many": node.many,
            "grad": node.grad,
        }
        for node in program.nodes
    ]
    return {"input": program.input, "output": program.output, "nodes": nodes}


def _encode(value: Any) -> Json:
    """A literal as it is; everything that JSON lacks as an object of one key."""
    match value:
        case Ref():
            return {"ref": value.name}
        case Device():
            return {"device": "input"}
        case tuple():
            return [_encode(v) for v in value]
        case float() if not math.isfinite(value):
            return {"float": repr(value)}
        case None | bool() | int() | float() | str():
            return value
        case torch.dtype():
            return {"dtype": str(value).removeprefix("torch.")}
        case torch.memory_format():
            return {"memory_format": str(value).removeprefix("torch.")}
    raise GradingError(f"a graph can't hold a {type(value).__name__}: {value!r}.")


def _decode(value: object, place: str) -> Any:
    if isinstance(value, list):
        return tuple(_decode(v, place) for v in value)
    if not isinstance(value, dict):
        return value
    match list(value.items()):
        case [("ref", str(name))]:
            return Ref(name)
        case [("device", "input")]:
            return Device()
        case [("float", "inf" | "-inf" | "nan" as text)]:
            return float(text)
        case [("dtype", str(name))] if name in _DTYPES:
            return _DTYPES[name]
        case [("memory_format", str(name))] if name in _FORMATS:
            return _FORMATS[name]
    raise GradingError(f"{place} has an argument that is not understood: {value!r:.80}.")


def _read_program(value: object, mode: str) -> Program:
    table = _table(value, f"the {mode} program")
    rows = _get(table, "nodes", list, f"the {mode} program")
    return Program(
        input=_get(table, "input", str, f"the {mode} program"),
        output=_get(table, "output", str, f"the {mode} program"),
        nodes=tuple(_read_node(row, f"{mode} program, node {i}") for i, row in enumerate(rows)),
    )


def _read_node(value: object, place: str) -> Node:
    table = _table(value, place)
    outputs = _get(table, "outputs", list, place)
    if not all(isinstance(name, str) for name in outputs):
        raise GradingError(f"{place}: outputs are names, got {outputs!r:.80}.")
    kwargs = _table(table.get("kwargs"), f"{place}, kwargs")
    return Node(
        op=_get(table, "op", str, place),
        args=tuple(_decode(a, place) for a in _get(table, "args", list, place)),
        kwargs={k: _decode(v, place) for k, v in kwargs.items()},
        outputs=tuple(outputs),
        many=_get(table, "many", bool, place),
        grad=_get(table, "grad", bool, place),
    )


def _read_stored(rows: list[object], numbers: bytes) -> Iterator[Stored]:
    """Cut the bytes into tensors, after their sizes were found to fit."""
    heads = []
    for index, row in enumerate(rows):
        place = f"stored tensor {index}"
        table = _table(row, place)
        dtype = _DTYPES.get(_get(table, "dtype", str, place))
        shape = _get(table, "shape", list, place)
        role = _get(table, "role", str, place)
        if dtype is None or role not in set(Role):
            raise GradingError(f"{place} has a role or dtype that is not understood.")
        if not all(type(n) is int and 0 <= n <= MAX_STORED for n in shape):
            raise GradingError(f"{place} has an impossible shape {shape!r:.80}.")
        heads.append((table, place, dtype, shape, Role(role)))
    total = sum(math.prod(shape) for _, _, _, shape, _ in heads)
    size = sum(math.prod(shape) * dtype.itemsize for _, _, dtype, shape, _ in heads)
    if total > MAX_STORED:
        raise GradingError(f"the graph stores {total:,} numbers; at most {MAX_STORED:,} fit.")
    if size != len(numbers):
        raise GradingError(f"the graph's tensors need {size:,} bytes, got {len(numbers):,}.")
    start = 0
    for table, place, dtype, shape, role in heads:
        end = start + math.prod(shape) * dtype.itemsize
        raw = bytearray(numbers[start:end])
        data = torch.frombuffer(raw, dtype=dtype) if raw else torch.empty(0, dtype=dtype)
        yield Stored(
            name=_get(table, "name", str, place),
            role=role,
            data=data.reshape(shape),
            trainable=_get(table, "trainable", bool, place) and role is Role.PARAMETER,
        )
        start = end


def _table(value: object, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise GradingError(f"{place} is a JSON object, got {type(value).__name__}.")
    return value


def _get(table: dict[str, Any], key: str, kind: type, place: str) -> Any:
    value = table.get(key)
    if type(value) is not kind:
        raise GradingError(
            f"{place}: {key!r} is of type {kind.__name__}, got {type(value).__name__}."
        )
    return value
