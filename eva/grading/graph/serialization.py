"""Programs and stored tensors as JSON and bytes, and back; nothing that is read is trusted."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch

from eva.errors import GradingError
from eva.grading.graph.nodes import Device, Node, Program, Ref, Role, Stored
from eva.json_types import Json

MAX_STORED = 4_000_000  # numbers; far above what any rule admits, far below what hurts
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


def program_to_json(program: Program) -> Json:
    """Nodes, and the names of input and output."""
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


def read_program(value: object, mode: str) -> Program:
    """Read what :func:`program_to_json` wrote, of the "train" or "eval" program."""
    table = table_of(value, f"the {mode} program")
    rows = entry(table, "nodes", list, f"the {mode} program")
    return Program(
        input=entry(table, "input", str, f"the {mode} program"),
        output=entry(table, "output", str, f"the {mode} program"),
        nodes=tuple(_read_node(row, f"{mode} program, node {i}") for i, row in enumerate(rows)),
    )


def _read_node(value: object, place: str) -> Node:
    table = table_of(value, place)
    outputs = entry(table, "outputs", list, place)
    if not all(isinstance(name, str) for name in outputs):
        raise GradingError(f"{place}: outputs are names, got {outputs!r:.80}.")
    kwargs = table_of(table.get("kwargs"), f"{place}, kwargs")
    return Node(
        op=entry(table, "op", str, place),
        args=tuple(_decode(a, place) for a in entry(table, "args", list, place)),
        kwargs={k: _decode(v, place) for k, v in kwargs.items()},
        outputs=tuple(outputs),
        many=entry(table, "many", bool, place),
        grad=entry(table, "grad", bool, place),
    )


def read_stored(rows: list[object], numbers: bytes) -> Iterator[Stored]:
    """Cut the bytes into tensors, after their sizes were found to fit."""
    heads = []
    for index, row in enumerate(rows):
        place = f"stored tensor {index}"
        table = table_of(row, place)
        dtype = _DTYPES.get(entry(table, "dtype", str, place))
        shape = entry(table, "shape", list, place)
        role = entry(table, "role", str, place)
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
            name=entry(table, "name", str, place),
            role=role,
            data=data.reshape(shape),
            trainable=entry(table, "trainable", bool, place) and role is Role.PARAMETER,
        )
        start = end


def table_of(value: object, place: str) -> dict[str, Any]:
    """The value, if it is a JSON object; ``place`` names it in the error."""
    if not isinstance(value, dict):
        raise GradingError(f"{place} is a JSON object, got {type(value).__name__}.")
    return value


def entry(table: dict[str, Any], key: str, kind: type, place: str) -> Any:
    """What a JSON object has under a key, if it is of the type."""
    value = table.get(key)
    if type(value) is not kind:
        raise GradingError(
            f"{place}: {key!r} is of type {kind.__name__}, got {type(value).__name__}."
        )
    return value
