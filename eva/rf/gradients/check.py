"""A traced field, asked of gradients: do sampled units see what they are said to see?"""

from __future__ import annotations

import contextlib
import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from eva.errors import ForwardError
from eva.rf.gradients.linear import Linearize, linearized


@dataclass(frozen=True, kw_only=True)
class FieldCheck:
    """What gradients say of a traced field.

    Args:
        units: Index of each unit that was asked about.
        exact: Whether the field claims to be exact, and must be what gradients find; otherwise it
            must only hold that.
        differences: A line for each unit and axis where it is not so.
    """

    units: tuple[tuple[int, ...], ...]
    exact: bool
    differences: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether gradients found nothing that contradicts the field."""
        return not self.differences

    def __str__(self) -> str:
        what = "see exactly" if self.exact else "see no more than"
        if self.agrees:
            return f"{len(self.units)} units {what} what the field says, by their gradients."
        return "\n".join(("Gradients contradict the field:", *self.differences))


def check(
    model: nn.Module,
    given: tuple[Sequence[Any], Mapping[str, Any]],
    field: Any,
    *,
    layer: str | None,
    source: str | None,
    units: int,
    seed: int,
) -> FieldCheck:
    """Ask gradients about some units of a field.

    The model runs as a copy in double precision, with positive weights and linear activations, so
    that nothing cancels.

    Args:
        model: The model that has the field; it is not changed.
        given: Positional and named arguments of forward; tensors without numbers become ones.
        field: A :class:`~eva.rf.ReceptiveField`.
        layer: Whose output it is of; the model's by default.
        source: The layer whose output it is in; the model's input by default.
        units: How many to ask about; the first and the last are among them.
        seed: Decides which.

    Raises:
        ForwardError: The copy can't run, or its inputs have no gradient.
    """
    shape, dims = field.output_shape, field.unit_dims
    counts = [shape[d] for d in dims]
    chosen = _sample(counts, units, seed)
    exact = str(field.status) in ("exact", "whole-input")
    differences = []
    measured = _measured(model, given, field, layer, source, chosen)
    for unit, seen in zip(chosen, measured, strict=True):
        for axis, claim in zip(field.axes, field.region(unit), strict=True):
            if axis.input not in seen:  # whole numbers have no gradient
                continue
            hull = _hull(seen[axis.input], axis.axis)
            inside = hull.start == hull.stop or (
                claim.start <= hull.start and hull.stop <= claim.stop
            )
            if hull != claim if exact else not inside:
                differences.append(
                    f"unit {unit}, axis {axis.axis} of {axis.input!r}: the field says "
                    f"{_words(claim)}, gradients say {_words(hull)}"
                )
    return FieldCheck(units=tuple(chosen), exact=exact, differences=tuple(differences))


def _sample(counts: Sequence[int], units: int, seed: int) -> list[tuple[int, ...]]:
    total = math.prod(counts)
    if total <= units:
        return list(itertools.product(*map(range, counts)))
    draw = random.Random(seed)
    corners = {tuple(0 for _ in counts), tuple(n - 1 for n in counts)}
    while len(corners) < units:
        corners.add(tuple(draw.randrange(n) for n in counts))
    return sorted(corners)


def _words(part: slice) -> str:
    return "nothing" if part.start == part.stop else f"{part.start}-{part.stop - 1}"


def _hull(seen: Tensor, axis: int) -> slice:
    others = [d for d in range(seen.ndim) if d != axis]
    at = (seen.any(dim=others) if others else seen).nonzero().flatten().tolist()
    return slice(at[0], at[-1] + 1) if at else slice(0, 0)


def _measured(
    model: nn.Module,
    given: tuple[Sequence[Any], Mapping[str, Any]],
    field: Any,
    layer: str | None,
    source: str | None,
    units: Sequence[tuple[int, ...]],
) -> Iterator[dict[str, Tensor]]:
    """For each unit, where each input has a gradient."""
    twin = linearized(model)
    leaves: dict[str, Tensor] = {}
    args = [_leaf(v, str(i), leaves) for i, v in enumerate(given[0])]
    kwargs = {k: _leaf(v, k, leaves) for k, v in given[1].items()}
    found: list[Any] = []
    modules = dict(twin.named_modules())
    target = modules.get(layer or "", twin)
    handles = []
    if source is not None:
        leaves.clear()

        def begin(_module: Any, _args: Any, out: Any) -> Any:
            return None if leaves else _leaf(out, source, leaves)

        handles.append(modules[source].register_forward_hook(begin))
    handles.append(target.register_forward_hook(lambda _m, _a, out: found.append(out)))
    try:
        with torch.enable_grad(), Linearize(), _errors():
            twin(*args, **kwargs)
    finally:
        for handle in handles:
            handle.remove()
    output = _first(found[-1]) if found else None
    if output is None or tuple(output.shape) != tuple(field.output_shape):
        raise ForwardError(
            "Gradients can't be asked: the copy gave no output of the same shape.",
            "Check a layer that returns a tensor.",
        )
    names = [n for n in {a.input: None for a in field.axes} if n in leaves]
    if not names:
        raise ForwardError(
            "Gradients can't be asked: whole numbers have none.",
            "Ask for the field in a layer after the embedding: source=...",
        )
    for unit in units:
        part = output
        for d, i in zip(field.unit_dims, unit, strict=True):
            part = part.narrow(d, i, 1)
        seen = {n: torch.zeros(leaves[n].shape, dtype=torch.bool) for n in names}
        if part.requires_grad:
            gradients = torch.autograd.grad(
                part.sum(), [leaves[n] for n in names], retain_graph=True, allow_unused=True
            )
            for n, g in zip(names, gradients, strict=True):
                if g is not None:
                    seen[n] = g != 0
        yield seen


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except Exception as e:
        raise ForwardError(
            f"Gradients can't be asked: a copy of the model with linear layers does not run.\n"
            f"  {type(e).__name__}: {e}",
            "Check a layer further in front.",
        ) from e


def _leaf(value: Any, name: str, leaves: dict[str, Tensor]) -> Any:
    """Fresh tensors of ones that want a gradient, under the names that a trace gives them."""
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return type(value)([_leaf(v, f"{name}.{i}", leaves) for i, v in enumerate(value)])
    if isinstance(value, dict):
        return {k: _leaf(v, f"{name}.{k}", leaves) for k, v in value.items()}
    if not isinstance(value, Tensor):
        return value
    if not value.is_floating_point():
        return torch.zeros(value.shape, dtype=value.dtype) if value.is_meta else value
    leaves[name] = torch.ones(value.shape, dtype=torch.float64, requires_grad=True)
    return leaves[name] * 1.0  # not a leaf: forward may write into it


def _first(value: Any) -> Tensor | None:
    if isinstance(value, Tensor):
        return value
    items = value.values() if isinstance(value, dict) else value
    if not isinstance(value, (dict, list, tuple)):
        return None
    return next((t for t in map(_first, items) if t is not None), None)
