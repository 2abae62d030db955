"""The record of a forward pass: module calls, operations, and where it stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from torch import nn

from eva.errors import ForwardError
from eva.rf.algebra import Algebra, Axis, Seen
from eva.rf.field import ReceptiveField, receptive_field_of
from eva.rf.gradients.check import FieldCheck, check
from eva.rf.tracing.recorder import Shape

Sized = tuple[Shape, Seen | None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Context:
    """What is needed to turn states into numbers."""

    algebra: Algebra
    axes: tuple[Axis, ...]
    names: tuple[str, ...]

    def field(self, seen: Sized) -> ReceptiveField:
        """Receptive field of a tensor with this shape and state."""
        shape, state = seen

        def make() -> ReceptiveField:
            return receptive_field_of(state, shape, self.axes, self.names, self.algebra)

        found: ReceptiveField = self.algebra.known(("field", shape, id(state)), state, make)
        return found


@dataclass(frozen=True, kw_only=True, eq=False)
class OpCall:
    """One executed operation, functional ones included.

    Args:
        name: Such as ``aten.relu``; in-place variants carry the same name.
        module: Name of the innermost module that was running, ``""`` for the root.
        call: Its index in :attr:`Trace.calls`.
        input_sizes: Shapes of the tensor arguments, batch included.
        output_sizes: Shapes of the results.
        settings: Arguments that are numbers, words or lists of whole numbers, such as ``stride``.
    """

    name: str
    module: str
    call: int
    settings: Mapping[str, Any]
    input_sizes: tuple[Shape, ...]
    output_sizes: tuple[Shape, ...]
    _context: Context = field(repr=False)
    _outputs: tuple[Sized, ...] = field(repr=False)

    @property
    def from_input(self) -> bool:
        """Whether a result depends on an input: else it is made of parameters and constants."""
        return any(state is not None for _, state in self._outputs)

    @cached_property
    def rf(self) -> ReceptiveField:
        """Receptive field of the first result."""
        return self._context.field(self._outputs[0])


@dataclass(frozen=True, kw_only=True, eq=False)
class Call:
    """One call of a module; a shared module has one entry for each time it runs.

    Args:
        name: Such as ``features.9``; ``""`` for the root.
        type_name: Class of the module.
        module: The module itself.
        depth: 0 for the root.
        parent: Index of the calling module's entry, ``None`` for the root.
        index: Place of this entry in :attr:`Trace.calls`.
        call_number: 0 for the first call of this module, 1 for the second.
        input_sizes: Shapes of the tensors it got, batch included.
        output_sizes: Shapes of the tensors it returned; empty if it failed.
        ops: Indices in :attr:`Trace.ops` of the operations it ran itself, not in submodules.
    """

    name: str
    type_name: str
    module: nn.Module = field(repr=False)
    depth: int
    parent: int | None
    index: int
    call_number: int
    input_sizes: tuple[Shape, ...]
    output_sizes: tuple[Shape, ...]
    ops: tuple[int, ...] = field(repr=False)
    _context: Context = field(repr=False)
    _outputs: tuple[Sized, ...] = field(repr=False)

    @cached_property
    def output_rf(self) -> ReceptiveField | None:
        """Receptive field of the first tensor it returned; ``None`` if it returned none."""
        return self._context.field(self._outputs[0]) if self._outputs else None


@dataclass(frozen=True, kw_only=True, eq=False)
class Failure:
    """Where and why a forward pass stopped.

    Args:
        layer: Name of the innermost module that was running, ``""`` for the root.
        type_name: Its class.
        call: Index of its entry in :attr:`Trace.calls`.
        input_sizes: Shapes of the tensors that it got.
        parameter_shapes: Name -> shape of its own parameters.
        exception: What it raised.
    """

    layer: str
    type_name: str
    call: int
    input_sizes: tuple[Shape, ...]
    parameter_shapes: Mapping[str, Shape]
    exception: BaseException


@dataclass(frozen=True, kw_only=True, eq=False)
class Trace:
    """What a forward pass did, and what every tensor of it sees.

    Args:
        calls: Module calls in the order in which they began; the root comes first.
        ops: Operations in the order in which they ran.
        input_sizes: Name -> shape of the inputs, batch included.
        used_parameters: Names of the parameters that some operation took.
        outputs: Name -> receptive field of each tensor in the output; ``""`` for a single one.
        device_fallback: Why real numbers had to be computed, ``None`` if they had not.
        model: The module that ran: a copy if it has lazy layers, which now have shapes.
        notes: What the reader should know, such as how an ambiguous size was read.
        may_couple: Images of a batch may see each other.
        given: Positional and named arguments of forward.
        source: The layer whose output the fields are in; ``None`` for the model's input.
        error: Where the forward pass stopped, ``None`` if it did not.
    """

    calls: tuple[Call, ...]
    ops: tuple[OpCall, ...]
    input_sizes: Mapping[str, Shape]
    used_parameters: frozenset[str]
    outputs: Mapping[str, ReceptiveField]
    device_fallback: str | None = None
    error: Failure | None = None
    model: nn.Module | None = field(default=None, repr=False)
    notes: tuple[str, ...] = ()
    may_couple: bool = field(default=False, repr=False)  # images of a batch may have met
    given: tuple[list[Any], dict[str, Any]] = field(default=([], {}), repr=False)
    source: str | None = None

    def field(self, layer: str | None = None) -> ReceptiveField:
        """Receptive field of the output, or of a layer's (last call's) output.

        Raises:
            ForwardError: No such layer ran, it returned no tensor, or there is nothing to see.
        """
        if layer is None or layer == "":
            if not self.outputs:
                raise ForwardError(
                    "The model returned no tensor, so it has no receptive field.",
                    "Return the output from forward(), or name a layer.",
                )
            return self._asking(next(iter(self.outputs.values())), None)
        found = [c for c in self.calls if c.name == layer]
        if not found:
            known = ", ".join(dict.fromkeys(c.name for c in self.calls if c.name))
            raise ForwardError(
                f"No layer named {layer!r} ran.", f"The layers that ran: {known or 'none'}."
            )
        rf = found[-1].output_rf
        if rf is None:
            raise ForwardError(f"The layer {layer!r} returned no tensor.", "Name another layer.")
        return self._asking(rf, layer)

    def _asking(self, rf: ReceptiveField, layer: str | None) -> ReceptiveField:
        """The field, able to ask gradients about itself."""
        if not rf.axes and self.source is not None:
            raise ForwardError(
                f"The layer {self.source!r} did not run, so nothing sees its output.",
                "Name a layer that forward() uses.",
            )
        if not rf.axes:
            raise ForwardError(
                "No tensor was found in the inputs, so there is nothing to see.",
                "Give tensors, or lists, dicts or objects that hold them as attributes.",
            )

        def ask(asked: ReceptiveField, units: int, seed: int) -> FieldCheck:
            if self.model is None:
                raise ForwardError("This trace has no model.", "Trace the model again.")
            return check(
                self.model, self.given, asked, layer=layer, source=self.source, units=units,
                seed=seed,
            )  # fmt: skip

        return replace(rf, _check=ask)
