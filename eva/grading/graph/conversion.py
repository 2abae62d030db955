"""An exported program turned into ours: names, literals, in-place operations."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from eva.errors import GradingError
from eva.grading.graph.nodes import (
    SIZE_ARITHMETIC,
    Device,
    Node,
    Program,
    Ref,
    Role,
    Stored,
    resolve,
)

_WRAPPERS = {"wrap_with_set_grad_enabled", "wrap_with_autocast"}
_UNWRITTEN = {
    "aten.new_empty.default": "aten.new_zeros.default",
    "aten.empty_like.default": "aten.zeros_like.default",
    "aten.empty.memory_format": "aten.zeros.default",
}
"""Memory that forward is about to write into, and what it is in a graph: never that of others."""
_TWINS = {"normal_": "normal_functional"}
"""Operations in place whose twin has another name."""


class Unsupported(GradingError):
    """The model can't be written as a graph; honest code may do that, so a person must look."""


class Uncountable(GradingError):
    """The model reads numbers that can't be counted: a custom operation, a seeded generator."""


class Store:
    """Stored tensors of both programs; one that is met twice is kept once."""

    def __init__(self) -> None:
        self._found: list[tuple[Tensor, Stored]] = []

    def add(self, tensor: Tensor, role: Role, name: str) -> str:
        """Keep a tensor and return the name that it goes by."""
        for known, stored in self._found:
            if _same(known, tensor, compare_values=role is Role.CONSTANT):
                return stored.name
        taken = {stored.name for _, stored in self._found}
        base, number = name, 2
        while name in taken:
            name, number = f"{base}_{number}", number + 1
        stored = Stored(
            name=name,
            role=role,
            data=tensor.detach().clone(memory_format=torch.preserve_format),
            trainable=role is Role.PARAMETER and tensor.requires_grad,
        )
        self._found.append((tensor, stored))
        return name

    def tensors(self) -> tuple[Stored, ...]:
        """Those that were added, in order."""
        return tuple(stored for _, stored in self._found)


def _same(one: Tensor, other: Tensor, *, compare_values: bool) -> bool:
    if one is other:
        return True
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    place = (one.data_ptr(), one.stride()) == (other.data_ptr(), other.stride())
    return (one.numel() > 0 and place) or (compare_values and torch.equal(one, other))


class Conversion:
    """Turns one exported program into ours: names, literals, in-place operations."""

    def __init__(self, exported: Any, store: Store) -> None:
        self.exported = exported
        self.store = store
        self.nodes: list[Node] = []
        self.values: dict[Any, Any] = {}  # torch.fx node -> Ref, tuple of Ref, literal
        self.aliases: dict[str, set[str]] = {}  # value -> all values that share its memory
        self.stored: set[str] = set()
        self.renamed: dict[str, str] = {}  # overwritten value -> what it is since
        self.count = 0

    def program(self) -> Program:
        """All nodes of the exported program, converted."""
        signature = self.exported.graph_signature
        specs = dict(zip(self._placeholders(), signature.input_specs, strict=True))
        for placeholder, spec in specs.items():
            self.values[placeholder] = self._input(spec)
        returned = self._graph(self.exported.graph_module)
        output = self._only_tensor(returned)
        return Program(input="input", nodes=tuple(self.nodes), output=output)

    def _placeholders(self) -> list[Any]:
        return [n for n in self.exported.graph.nodes if n.op == "placeholder"]

    def _input(self, spec: Any) -> Any:
        kind = spec.kind.name
        if kind == "USER_INPUT":
            return Ref("input")
        if kind not in Role.__members__ and kind != "CONSTANT_TENSOR":
            what = getattr(spec.arg, "class_fqn", kind).rpartition(".")[2]
            raise Uncountable(
                f"forward reads a {what} that the model keeps.",
                "Weights drawn from a seed are weights all the same. Register them as parameters.",
            )
        target = spec.target
        if kind == "CONSTANT_TENSOR":
            tensor, role = self.exported.constants[target], Role.CONSTANT
        elif kind == "BUFFER" and not spec.persistent:
            tensor, role = self.exported.constants[target], Role.BUFFER
        else:
            tensor, role = self.exported.state_dict[target], Role(kind.lower())
        if not any(True for _ in self._users(spec.arg.name)):
            return None  # stored, but the computation never reads it
        name = self.store.add(tensor, role, target.removeprefix("m."))
        self.stored.add(name)
        return Ref(name)

    def _users(self, placeholder: str) -> Iterator[Any]:
        for node in self._placeholders():
            if node.name == placeholder:
                yield from node.users

    def _graph(self, module: Any) -> Any:
        """Convert the nodes of a graph module; the value that it returns."""
        for node in module.graph.nodes:
            if node.op == "output":
                return self._argument(node.args[0])
            if node.op == "get_attr":
                attribute = getattr(module, node.target)
                if isinstance(attribute, Tensor):
                    name = self.store.add(attribute, Role.CONSTANT, str(node.target))
                    self.stored.add(name)
                    self.values[node] = Ref(name)
                else:
                    self.values[node] = attribute
            elif node.op == "call_function":
                self._call(node)
        raise Unsupported("the exported program returns nothing.")

    def _call(self, node: Any) -> None:
        target = node.target
        name = getattr(target, "__name__", str(target))
        if target is operator.getitem and isinstance(self.values[node.args[0]], tuple):
            self.values[node] = self.values[node.args[0]][node.args[1]]
        elif name in _WRAPPERS:
            self._inline(node, name)
        elif isinstance(target, torch._ops.OpOverload):
            self._operation(node, target)
        elif name in SIZE_ARITHMETIC:
            output = self._fresh(name)
            self._emit(f"py.{name}", node, (output,), many=False)
            self.values[node] = Ref(output)
        else:
            raise Unsupported(f"forward uses {name}, for which the graph has no word.")

    def _inline(self, node: Any, wrapper: str) -> None:
        """Write the body of ``with torch.no_grad()`` or ``autocast(enabled=False)`` in place."""
        arguments = [self._argument(a) for a in node.args]
        if wrapper == "wrap_with_set_grad_enabled":
            grad, body, inputs = arguments[0], arguments[1], arguments[2:]
        else:
            grad, body, inputs = True, arguments[4], arguments[5:]
            if arguments[2]:
                raise Unsupported("forward turns autocast on; the recipe decides the precision.")
        placeholders = [n for n in body.graph.nodes if n.op == "placeholder"]
        self.values.update(zip(placeholders, inputs, strict=True))
        first = len(self.nodes)
        self.values[node] = self._graph(body)
        if not grad:
            self.nodes[first:] = [
                Node(op=n.op, args=n.args, kwargs=n.kwargs, outputs=n.outputs, many=n.many,
                     grad=False)
                for n in self.nodes[first:]
            ]  # fmt: skip

    def _operation(self, node: Any, target: torch._ops.OpOverload) -> None:
        schema = target._schema
        op = str(target)
        if not op.startswith("aten."):
            own = op.removesuffix(".default").replace(".", "::", 1)
            raise Uncountable(
                f"forward calls {own}, which is not one of PyTorch's own operations.",
                "What it stores can't be counted. Use what torch and torch.nn offer.",
            )
        try:
            resolve(op)
        except GradingError as error:
            raise Unsupported(f"forward calls {op}.", error.hint) from error
        if op.startswith("aten._assert"):
            return  # about shapes and dtypes, which the checks see for themselves
        op = _UNWRITTEN.get(op, op)
        types = [str(r.type) for r in schema.returns]
        many = len(types) > 1 or bool(types and types[0].startswith("List"))
        parts = self._parts(node) if many else 1
        stem = schema.name.removeprefix("aten::").strip("_")
        outputs = tuple(self._fresh(stem) for _ in range(parts if types else 0))
        written = self._written(node, schema)
        twin = self._twin(schema, written)
        functional = _without_out(target)
        if functional is not None and written is not None:
            self._emit(functional, node, outputs, many=many, without=_outputs_of(schema))
            copied = (Ref(written), Ref(outputs[0]))
            name = self._fresh("copy")
            self.nodes.append(
                Node(op="aten.copy_.default", args=copied, kwargs={}, outputs=(name,))
            )
            self.values[node] = Ref(name)
            return
        self._emit(twin or op, node, outputs, many=many)
        refs = tuple(Ref(o) for o in outputs)
        self.values[node] = refs if many else (refs[0] if refs else None)
        if twin and written is not None:
            self.renamed[written] = outputs[0]
        else:
            self._share(node, schema, outputs)

    def _written(self, node: Any, schema: Any) -> str | None:
        """Name of the value that an in-place operation overwrites."""
        for position, argument in enumerate(schema.arguments):
            if argument.alias_info is not None and argument.alias_info.is_write:
                given = node.args[position : position + 1] or [node.kwargs.get(argument.name)]
                value = self._argument(given[0])
                if isinstance(value, Ref):
                    return value.name
        return None

    def _twin(self, schema: Any, written: str | None) -> str | None:
        """The operation that gives a new tensor where this one overwrites its first argument.

        Only where nothing else shares the memory, so that the two can't be told apart.
        """
        if written is None or written in self.stored or written == "input":
            return None
        if self.aliases.get(written, {written}) != {written}:
            return None
        name = schema.name.removeprefix("aten::")
        if not name.endswith("_"):
            return None
        name = _TWINS.get(name, name.removesuffix("_"))
        twin = f"aten.{name}.{schema.overload_name or 'default'}"
        try:
            resolve(twin)
        except GradingError:
            return _overload(name, schema)
        return twin

    def _share(self, node: Any, schema: Any, outputs: tuple[str, ...]) -> None:
        """Note that the outputs of a view share memory with what it views."""
        if not any(r.alias_info is not None for r in schema.returns):
            return
        sources = {
            ref.name
            for argument, given in zip(schema.arguments, node.args, strict=False)
            if argument.alias_info is not None and isinstance(ref := self._argument(given), Ref)
        }
        group = set(outputs).union(*(self.aliases.get(s, {s}) for s in sources))
        for name in group:
            self.aliases[name] = group

    def _parts(self, node: Any) -> int:
        value = node.meta.get("val")
        if not isinstance(value, (list, tuple)):
            raise Unsupported(f"{node.target} gives a list whose length is not known.")
        return len(value)

    def _emit(
        self,
        op: str,
        node: Any,
        outputs: tuple[str, ...],
        *,
        many: bool,
        without: frozenset[str] = frozenset(),
    ) -> None:
        args = tuple(self._argument(a) for a in node.args)
        kwargs = {
            key: self._argument(value)
            for key, value in node.kwargs.items()
            if key not in without
            and (key not in ("layout", "pin_memory") or value not in (None, False, torch.strided))
            and not (key == "memory_format" and op == "aten.zeros.default")
        }
        self.nodes.append(Node(op=op, args=args, kwargs=kwargs, outputs=outputs, many=many))

    def _argument(self, value: Any) -> Any:
        if isinstance(value, torch.fx.Node):
            return self._latest(self.values[value])
        if isinstance(value, (list, tuple)):
            return tuple(self._argument(v) for v in value)
        if isinstance(value, torch.device):
            return Device()
        if isinstance(value, (torch.SymInt, torch.SymFloat, torch.SymBool)):
            raise Unsupported("a size in forward depends on the batch in a way we can't follow.")
        if value is None or isinstance(
            value, (bool, int, float, str, torch.dtype, torch.memory_format, torch.layout)
        ):
            if value is torch.strided:
                return None
            return value
        raise Unsupported(f"forward has an argument of type {type(value).__name__}.")

    def _latest(self, value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(self._latest(v) for v in value)
        while isinstance(value, Ref) and value.name in self.renamed:
            value = Ref(self.renamed[value.name])
        return value

    def _fresh(self, stem: str) -> str:
        self.count += 1
        return f"%{self.count}.{stem}"

    def _only_tensor(self, returned: Any) -> str:
        if isinstance(returned, tuple) and len(returned) == 1:
            returned = returned[0]
        if not isinstance(returned, Ref):
            raise Unsupported("forward must return one tensor of scores.")
        return returned.name


def _overload(name: str, schema: Any) -> str | None:
    """The overload of an operation that takes what a schema takes, under another name."""
    packet = getattr(torch.ops.aten, name, None)
    wanted = [(a.name, str(a.type)) for a in schema.arguments]
    for overload in packet.overloads() if packet is not None else ():
        other = getattr(packet, overload)
        if [(a.name, str(a.type)) for a in other._schema.arguments] == wanted:
            return str(other)
    return None


def _outputs_of(schema: Any) -> frozenset[str]:
    """Names of the arguments that an operation fills in, as ``out=`` does."""
    return frozenset(a.name for a in schema.arguments if a.is_out)


def _without_out(target: torch._ops.OpOverload) -> str | None:
    """Name of the overload that gives a new tensor where this one fills its one ``out=``."""
    schema = target._schema
    if len(_outputs_of(schema)) != 1:
        return None
    wanted = [(a.name, str(a.type)) for a in schema.arguments if not a.is_out]
    packet = target.overloadpacket
    for overload in packet.overloads():
        other = getattr(packet, overload)
        if [(a.name, str(a.type)) for a in other._schema.arguments] == wanted:
            return str(other)
    return None
