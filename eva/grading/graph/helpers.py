"""Questions that many ask of a node or a program: what it reads, writes, draws, belongs to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from eva.grading.graph.nodes import Node, Program, Role, Stored, resolve

_PERHAPS_VIEWS = {
    "dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout",
    "reshape", "contiguous", "flatten", "to", "type_as",
}  # fmt: skip
"""Operations that give back what they got, or a view of it, where they have nothing to do."""


def arguments_of(node: Node) -> dict[str, Any]:
    """Arguments of a node by the names of its operation's schema."""
    return {**dict(zip(_names(node.op), node.args, strict=False)), **node.kwargs}


@lru_cache(maxsize=4096)
def _names(op: str) -> tuple[str, ...]:
    schema = getattr(resolve(op), "_schema", None)
    return () if schema is None else tuple(a.name for a in schema.arguments)


@lru_cache(maxsize=4096)
def _written_names(op: str) -> tuple[str, ...]:
    schema = getattr(resolve(op), "_schema", None)
    arguments = () if schema is None else schema.arguments
    return tuple(a.name for a in arguments if a.alias_info is not None and a.alias_info.is_write)


def overwritten(node: Node) -> list[str]:
    """Names of the values that a node writes into, in place."""
    names = _written_names(node.op)
    if not names:
        return []
    given = arguments_of(node)
    return [given[name].name for name in names if hasattr(given.get(name), "name")]


def draws(node: Node) -> bool:
    """Whether an operation draws random numbers; dropout in eval mode does not."""
    tags = getattr(resolve(node.op), "tags", ())
    if torch.Tag.nondeterministic_seeded not in tags:
        return False
    schema = getattr(resolve(node.op), "_schema", None)
    defaults = {a.name: a.default_value for a in schema.arguments} if schema is not None else {}
    given = defaults | arguments_of(node)
    idle = given.get("train") is False or given.get("training") is False
    return not idle and given.get("p") != 0 and given.get("dropout_p") != 0


def random_operation(program: Program) -> str | None:
    """Name of the first operation whose random numbers reach the scores, if there is one."""
    written = [name for node in program.nodes for name in overwritten(node)]
    live = live_nodes(program, written, ended_by=times_zero)
    return next((node.op.split(".")[1] for node in live if draws(node)), None)


def times_zero(node: Node) -> bool:
    """Whether a node multiplies by 0, as ``self.training * noise`` does in eval mode."""
    if node.op.split(".")[1].rstrip("_") not in ("mul", "multiply"):
        return False
    return any(isinstance(a, (int, float)) and a == 0 for a in node.args)


def memory_groups(values: dict[str, Any]) -> dict[str, set[str]]:
    """For every tensor the names of all tensors that share its memory, itself among them."""
    places: dict[int, set[str]] = {}
    for name, value in values.items():
        if isinstance(value, Tensor):
            places.setdefault(value.untyped_storage()._cdata, set()).add(name)
    return {name: group for group in places.values() for name in group}


def shared_memory(program: Program) -> dict[str, set[str]]:
    """All values that may share their memory with a value, itself among them.

    It is found on the graph, without numbers; a value that nothing views is left out.
    """
    group: dict[str, set[str]] = {}
    for node in program.nodes:
        schema = getattr(resolve(node.op), "_schema", None)
        views = schema is not None and any(r.alias_info is not None for r in schema.returns)
        if views or node.op.split(".")[1] in _PERHAPS_VIEWS:
            together = set(filter(None, node.outputs)).union(
                *(group.get(name, {name}) for name in node.reads()[:1])
            )
            group.update(dict.fromkeys(together, together))
    return group


def layer_of(stored: Stored) -> str:
    """Name of the layer that a stored tensor belongs to: "fc" for "fc.weight"."""
    if stored.role is Role.CONSTANT and "lifted_tensor" in stored.name:
        return "a tensor that is no parameter " + str(tuple(stored.data.shape)).replace(" ", "")
    owner, _, leaf = stored.name.partition(".parametrizations.")[0].rpartition(".")
    if ".parametrizations." in stored.name:
        return f"{owner}.{leaf}" if owner else leaf
    return owner or leaf


def live_nodes(
    program: Program,
    kept: Iterable[str] = (),
    ended_by: Callable[[Node], bool] = lambda node: False,
) -> list[Node]:
    """Nodes that the output depends on, in order, and those that write into one of ``kept``.

    Where ``ended_by`` says so, what a node reads is not followed.
    """
    wanted, found = {program.output, *kept}, []
    for node in reversed(program.nodes):
        if wanted & {*node.outputs, *overwritten(node)}:
            found.append(node)
            if not ended_by(node):
                wanted.update(node.reads())
    return found[::-1]


def seen_values(program: Program) -> set[str]:
    """Values that are computed from the image, by what the operations read."""
    seen = {program.input}
    for node in program.nodes:
        if not node.op.startswith(("aten.sym_size", "py.")) and seen.intersection(node.reads()):
            seen.update(filter(None, node.outputs))
    return seen
