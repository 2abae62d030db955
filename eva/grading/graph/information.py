"""How much a graph says that was not drawn here: what comes from home, counted in bits.

Weights that were trained at home may be hidden in parameters of a type that nobody draws, in
single numbers, buffers, constants, literals, in the eps of a norm, in the start of a slice. All of
them share one budget. Each number costs what a good code would need: 32 bits (64 where it is that
wide) for every different one, and for every further use the entropy of the choice among them. So a
hundred layers with the same eps say little, and a thousand flags say a thousand bits.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from eva.grading.graph.drawn import initial_rules, is_identity, same_numbers
from eva.grading.graph.graph import Graph
from eva.grading.graph.helpers import arguments_of, layer_of
from eva.grading.graph.nodes import Node, Program, resolve

INFORMATION_BUDGET = 64  # numbers of 32 bits: scale factors, slopes, a blur, the eps of a norm
_BITS = 32
_ENDLESS = 2**63 - 1  # the end of a slice that has none
_NAMES = """
roll select slice narrow arange linspace logspace full new_full fill zeros ones new_zeros new_ones
eye tril triu expand repeat pad constant_pad_nd scalar_tensor index_fill diagonal
"""
_SAYING = frozenset(_NAMES.split())
"""Operations whose whole numbers are no matter of shapes alone."""
_WINDOWS = ("conv", "pool", "im2col", "col2im", "unfold")
_PLAIN = 3  # the largest stride, padding or dilation of a window that says nothing


@dataclass(frozen=True, kw_only=True)
class Carried:
    """What a graph carries.

    Attributes:
        bits: Bits of information.
        places: Where the numbers are and how many there are, most first.
    """

    bits: float
    places: tuple[tuple[str, int], ...]

    @property
    def numbers(self) -> int:
        """As many numbers of 32 bits would say as much."""
        return math.ceil(self.bits / _BITS)

    @property
    def over_budget(self) -> bool:
        """More than any honest network needs."""
        return self.bits > INFORMATION_BUDGET * _BITS


def carried(graph: Graph) -> Carried:
    """Measure what training starts from and the judge neither draws nor sets."""
    found: Counter[tuple[int, str]] = Counter()
    places: Counter[str] = Counter()
    rules = initial_rules(graph)
    for stored in graph.stored:
        if not rules.is_kept(stored):
            continue
        numbers = list(_numbers(stored.data))
        found.update(numbers)
        places[layer_of(stored)] += len(numbers)
    train, evaluation = (_written(program) for program in (graph.train, graph.eval))
    written = {place: max(train[place], evaluation[place], key=len)
               for place in {*train, *evaluation}}  # fmt: skip
    for place, values in written.items():
        found.update((_BITS, repr(value)) for value in values)
        places[f"numbers written into {place}"] += len(values)
    total = sum(found.values())
    bits = sum(float(wide) for wide, _ in found)
    bits += sum(count * math.log2(total / count) for count in found.values())
    if len(found) == 1:
        bits = float(next(iter(found))[0])
    return Carried(bits=bits, places=tuple(places.most_common()))


def _numbers(data: Tensor) -> Iterator[tuple[int, str]]:
    """Numbers of a tensor that must be said: one of a constant, two of a range, all of a table."""
    wide = max(_BITS, 8 * data.dtype.itemsize)
    if not data.numel():
        return
    if same_numbers(data):
        yield wide, repr(data.reshape(-1)[0].item())
        return
    if data.is_floating_point() and is_identity(data):
        yield wide, "identity"
        return
    for axis in range(data.ndim):
        first = data.narrow(axis, 0, 1)
        if data.shape[axis] > 1 and torch.equal(data, first.expand_as(data)):
            data = first
    flat = data.reshape(-1)
    if flat.numel() > 2 and data.dtype is not torch.bool and not data.is_complex():
        steps = flat.double().diff()
        if torch.allclose(steps, steps[:1].expand_as(steps), rtol=1e-4, atol=0):
            flat = flat[:2]
    for number in flat.tolist():
        yield wide, repr(number)


class _Written(dict[str, list[float]]):
    def __missing__(self, key: str) -> list[float]:
        return []


def _written(program: Program) -> _Written:
    """Numbers among the arguments, by the name of the operation."""
    found = _Written()
    for node in program.nodes:
        if not node.op.startswith("aten."):
            name, values = node.op, [a for a in node.args if isinstance(a, (int, float))]
        else:
            name, values = node.op.split(".")[1].strip("_"), list(_saying(node))
        if values:
            found[name] = [*found[name], *values]
    return found


def _saying(node: Node) -> Iterator[float]:
    schema = getattr(resolve(node.op), "_schema", None)
    types = {a.name: str(a.type) for a in schema.arguments} if schema is not None else {}
    name = node.op.split(".")[1].strip("_")
    windows = any(word in name for word in _WINDOWS)
    for key, value in arguments_of(node).items():
        kind = types.get(key, "")
        for number in _flat(value):
            if isinstance(number, float) or ("number" in kind or "Scalar" in kind):
                yield float(number)
            elif "Tensor" in kind or (name in _SAYING and key not in ("dim", "dims")):
                if number not in (_ENDLESS, -1, 0, 1):
                    yield float(number)
            elif windows and key != "groups" and abs(number) > _PLAIN:
                yield float(number)


def _flat(value: object) -> Iterator[int | float]:
    if isinstance(value, tuple):
        for item in value:
            yield from _flat(item)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield value
