"""The open registry: which geometry an operation has.

A rule is a function of one :class:`Op` (name, arguments, shapes; no torch, no graph) that returns
a :class:`Geometry`. It can be called and tested alone. An operation without a rule is never taken
for pointwise: its result says ``unknown`` and names it. To teach a new one::

    with register_rule("mylib.blur", lambda op: sliding_rule(op, kernel=5, padding=2)):
        ...
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import TracebackType
from typing import Any

from eva.errors import RuleError
from eva.rf.algebra import Algebra, FieldStatus, Seen
from eva.rf.geometry import AxisMap, sliding


@dataclass(frozen=True, kw_only=True, eq=False)
class TensorArg:
    """A tensor argument: its shape, what it sees, and its numbers where they are known.

    Args:
        shape: Sizes of the tensor.
        state: What its elements see; ``None`` for a tensor that no input reaches.
        values: Reads the numbers of an index tensor as nested lists; ``None`` if they are not
            known, as for a tensor that depends on the input.
        find_zeros: Says where a constant tensor is zero; see :attr:`zeros`.
    """

    shape: tuple[int, ...]
    state: Seen | None = None
    values: Callable[[], Any] | None = None
    find_zeros: Callable[[], Any] | None = None

    @cached_property
    def zeros(self) -> Any:
        """Where a constant tensor is zero, as booleans of its shape.

        True if it may be zero somewhere and nobody knows where; ``None`` if it is taken as not
        zero anywhere.
        """
        return None if self.find_zeros is None else self.find_zeros()


@dataclass(frozen=True, kw_only=True, eq=False)
class Op:
    """One executed operation.

    Args:
        name: Such as ``aten.convolution``; in-place variants carry the same name.
        args: Argument name -> value, defaults included; tensors are :class:`TensorArg`.
        outputs: Shapes of the tensors it returned.
    """

    name: str
    args: Mapping[str, Any]
    outputs: tuple[tuple[int, ...], ...]

    def __getitem__(self, key: str) -> Any:
        return self.args[key]

    @cached_property
    def tensors(self) -> tuple[TensorArg, ...]:
        """Every tensor among the arguments, lists included."""
        found: list[TensorArg] = []
        for value in self.args.values():
            if isinstance(value, TensorArg):
                found.append(value)
            elif isinstance(value, (list, tuple)):
                found += [v for v in value if isinstance(v, TensorArg)]
        return tuple(found)

    @property
    def first(self) -> TensorArg:
        """The first tensor argument: the data."""
        return self.tensors[0]

    @cached_property
    def states(self) -> tuple[Seen, ...]:
        """What the tensor arguments see, those that an input reaches."""
        return tuple([t.state for t in self.tensors if t.state is not None])


Geometry = Callable[[Algebra, Op], Seen | Sequence[Seen | None]]
Rule = Callable[[Op], Geometry]


@dataclass(frozen=True, kw_only=True)
class Pointwise:
    """Every output element sees what the elements at its place in the arguments see."""

    def __call__(self, algebra: Algebra, op: Op) -> list[Seen | None]:
        """One state an output, each broadcast to its shape."""
        return [algebra.join(op.states, shape) for shape in op.outputs]


@dataclass(frozen=True, kw_only=True)
class Sliding:
    """A window along some dimensions.

    Args:
        maps: Tensor dimension -> what the units along it read.
        channels: 0 if every channel stays for itself, else the number of groups (dimension 1).
    """

    maps: Mapping[int, AxisMap]
    channels: int = 0

    def __call__(self, algebra: Algebra, op: Op) -> list[Seen | None]:
        """The first argument's state, carried through the windows."""
        state = op.first.state
        shape = op.outputs[0]
        if state is None:
            return [None] * len(op.outputs)
        out = algebra.slide(state, self.maps, shape, self.channels)
        return [out] * len(op.outputs)


@dataclass(frozen=True, kw_only=True)
class Reduce:
    """Dimensions mixed completely (mean, sum, amax).

    Args:
        dims: Tensor dimensions, not negative.
        keep: Whether they stay, with size 1.
    """

    dims: tuple[int, ...]
    keep: bool = False

    def __call__(self, algebra: Algebra, op: Op) -> list[Seen | None]:
        """The first argument's state without the dimensions."""
        state = op.first.state
        if state is None:
            return [None] * len(op.outputs)
        return [algebra.reduce(state, self.dims, keep=1 if self.keep else None)] * len(op.outputs)


@dataclass(frozen=True, kw_only=True)
class Mix:
    """Each element sees everything along some dimensions; the shape stays (softmax, norms)."""

    dims: tuple[int, ...]

    def __call__(self, algebra: Algebra, op: Op) -> list[Seen | None]:
        """The first argument's state with the dimensions mixed, for outputs of its shape."""
        state = op.first.state
        if state is None:
            return [None] * len(op.outputs)
        mixed = algebra.mix(state, self.dims)
        return [mixed if s == mixed.shape else None for s in op.outputs]


@dataclass(frozen=True, kw_only=True)
class Whole:
    """Each element may see the whole of whatever the arguments see.

    Args:
        status: How that is to be understood: a bound, dependent on data, or unknown.
        cause: What to tell the reader; the operation's name when empty.
        apart: Images of a batch can't meet in it.
    """

    status: FieldStatus
    cause: str = ""
    apart: bool = True

    def __call__(self, algebra: Algebra, op: Op) -> list[Seen | None]:
        """The whole of each axis that any argument sees."""
        cause = self.cause or op.name
        return [
            algebra.whole(op.states, shape, self.status, cause, self.apart) for shape in op.outputs
        ]


def numbers(value: Any, count: int, default: int | None = None) -> tuple[int, ...]:
    """A size argument as one number an axis; ``[]`` stands for the default."""
    if isinstance(value, int):
        return (value,) * count
    given = tuple(int(v) for v in value)
    if not given and default is not None:
        return (default,) * count
    return given * count if len(given) == 1 else given


def sliding_rule(
    op: Op, *, kernel: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, channels: int = 0
) -> Sliding:
    """The rule of a window that slides over the trailing dimensions.

    Args:
        op: The operation; its output shape says how many units there are.
        kernel: Width, one number or one an axis, as are the next three.
        stride: Step from unit to unit.
        padding: Units before the first.
        dilation: Step within the window.
        channels: 0 for pooling, the number of groups for a convolution.
    """
    rank = len(op.outputs[0])
    count = len(kernel) if isinstance(kernel, (list, tuple)) and len(kernel) > 1 else rank - 2
    k = numbers(kernel, count)
    s = numbers(stride, count, default=None) or k
    p, d = numbers(padding, count), numbers(dilation, count)
    maps = {
        rank - count + i: AxisMap(
            count=op.outputs[0][rank - count + i], window=sliding(k[i], s[i], p[i], d[i])
        )
        for i in range(count)
    }
    return Sliding(maps=maps, channels=channels)


@dataclass(frozen=True, eq=False)
class Registry:
    """Rules by operation name; later registrations win until they are removed."""

    rules: dict[str, list[Rule]] = field(default_factory=dict)

    def find(self, name: str) -> Rule | None:
        """The rule in force for an operation, or ``None``."""
        stack = self.rules.get(name)
        return stack[-1] if stack else None


USERS = Registry()


@dataclass(frozen=True, kw_only=True, eq=False)
class Registration:
    """A registered rule; use it as a context manager, or call :meth:`remove`, to undo it."""

    name: str
    rule: Rule

    def remove(self) -> None:
        """Take the rule out again; nothing happens if it is already gone."""
        stack = USERS.rules.get(self.name, [])
        if self.rule in stack:
            stack.remove(self.rule)

    def __enter__(self) -> Registration:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()


def register_rule(name: str, rule: Rule) -> Registration:
    """Teach the tracer an operation, or replace what it knows of one.

    Args:
        name: As traces print it: ``aten.max_pool2d_with_indices``, ``mylib.blur``; without
            overload and without the underscore of in-place variants.
        rule: Function of an :class:`Op` that returns a :class:`Geometry`, such as
            :class:`Pointwise`, :class:`Sliding`, :class:`Reduce` or the result of
            :func:`sliding_rule`.

    Returns:
        A handle: ``with register_rule(...):`` or ``handle.remove()``.

    Raises:
        RuleError: The name is not an operation's, or the rule can't be called.

    Example:
        A max-pool that keeps its field, as some published tables have it::

            register_rule("aten.max_pool2d_with_indices",
                          lambda op: sliding_rule(op, kernel=1, stride=op["stride"]))
    """
    if not re.fullmatch(r"[A-Za-z_]\w*\.\w+", name):
        raise RuleError(
            f"A rule is registered under an operation's name such as 'aten.relu'; got {name!r}.",
            "`eva.rf.trace(model, size).ops` lists the names that a model executes.",
        )
    if not callable(rule):
        raise RuleError(
            f"The rule for {name} must be a function of one Op; got {type(rule).__name__}.",
            "Example: lambda op: sliding_rule(op, kernel=3, stride=1).",
        )
    USERS.rules.setdefault(name, []).append(rule)
    return Registration(name=name, rule=rule)
