"""What each operation does to the axes of its values; one rule for each family of operations.

A rule gets the analysis and a node, and returns what is known of each output. An operation without
a rule is a trouble that names it, wherever it meets something that sees the image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from eva.grading.checks.axes import (
    Atom,
    AtomKind,
    Inseparable,
    MapAxis,
    channel,
    even,
    extent,
    has,
    images,
    place,
    refine,
    regroup,
    turned,
)
from eva.grading.checks.pooling_analysis import SHAPE_BATCH, Analysis, Cut, Trouble, Value, atoms_of
from eva.grading.graph.helpers import arguments_of
from eva.grading.graph.nodes import Node, Ref, resolve

PoolingRule = Callable[[Analysis, Node, dict[str, Any]], list[Value]]
_RULES: dict[str, PoolingRule] = {}
_SMALLEST = 3  # a kernel of 3x3 is one of every network, on however small a map
_WIDE = 4  # a fixed kernel of fewer positions tells nothing of the place that 3x3 would not
_CROP = 2  # positions at each end that a crop takes off as an unpadded convolution does

_ELEMENTWISE = """
relu relu6 leaky_relu elu selu celu gelu silu mish hardswish hardsigmoid hardtanh sigmoid
log_sigmoid tanh softplus threshold rrelu softshrink hardshrink add sub rsub mul div neg abs exp
exp2 expm1 log log1p log2 log10 sqrt rsqrt pow square reciprocal sin cos tan sinh cosh asin acos
atan atan2 sign sgn frac floor ceil round trunc clamp clamp_min clamp_max maximum minimum fmax fmin
where masked_fill lerp addcmul addcdiv eq ne lt le gt ge logical_and logical_or logical_not
logical_xor remainder fmod erf erfc floor_divide true_divide isnan isinf isfinite nan_to_num
bitwise_and bitwise_or bitwise_xor bitwise_not __and__ __or__ __xor__ positive sinc hypot
heaviside copysign logit xlogy
softsign tanhshrink hardtanh dropout feature_dropout alpha_dropout feature_alpha_dropout
native_dropout bernoulli uniform normal_functional multiply divide subtract negative absolute clip
float_power logaddexp
"""
ELEMENTWISE = frozenset(_ELEMENTWISE.split()) - {"where", "native_dropout"}
"""Operations of which each number is made from the same number of what they read."""
_COMPARISONS = (
    "eq ne lt le gt ge isnan isinf isfinite logical_and logical_or logical_not logical_xor"
)
TRUTHS = frozenset(_COMPARISONS.split())
"""Those of them that answer true or false."""
_AS_IT_IS = """
clone contiguous detach alias to _to_copy type_as lift_fresh lift_fresh_copy detach_copy
"""
_VIEWS = "view reshape flatten unflatten view_as reshape_as squeeze unsqueeze _unsafe_view"
_CREATED = """
zeros ones full eye zeros_like ones_like full_like new_zeros new_ones new_full scalar_tensor
arange linspace logspace rand randn rand_like randn_like empty empty_like new_empty randperm
meshgrid tril_indices triu_indices
"""
_REDUCTIONS = {
    "mean": "mean", "sum": "sum", "amax": "max", "amin": "min", "max": "max", "min": "min",
    "prod": "prod", "any": "any", "all": "all", "logsumexp": "logsumexp", "std": "std",
    "var": "var", "norm": "norm", "linalg_vector_norm": "norm", "nanmean": "mean",
    "nansum": "nansum", "median": "median", "argmax": "argmax", "argmin": "argmin",
    "std_mean": "std", "var_mean": "var", "aminmax": "min", "count_nonzero": "count_nonzero",
    "mode": "mode", "nanmedian": "nanmedian",
}  # fmt: skip


def apply_rule(analysis: Analysis, node: Node) -> list[Value]:
    """What is known of each output of a node."""
    name = _name(node)
    rule = _RULES.get(name) or _RULES.get(name.removesuffix("_"))
    given = arguments_of(node)
    values = _values(analysis, node)
    seen = any(v.seen for v in values)
    if rule is None:
        return _unknown(analysis, node, f"{name} is not an operation that the proof knows")
    try:
        found = rule(analysis, node, given)
    except Inseparable:
        return _unknown(
            analysis, node, f"{name} takes positions apart or together in a way that can't be "
            "followed",
        )  # fmt: skip
    sized = [r for r in node.reads() if r in analysis.by_batch]
    if sized and seen and name not in _SIZED:
        trouble = analysis.trouble(f"{name} depends on the number of images in a batch")
        found = [_with(v, trouble) for v in found]
    troubles = frozenset[Trouble]().union(*(v.troubles for v in values))
    return [replace(v, troubles=v.troubles | troubles) if v.seen else v for v in found]


def _name(node: Node) -> str:
    return node.op.split(".")[1]


def _rule(names: str) -> Callable[[PoolingRule], PoolingRule]:
    def keep(function: PoolingRule) -> PoolingRule:
        _RULES.update(dict.fromkeys(names.split(), function))
        return function

    return keep


def _values(a: Analysis, node: Node) -> list[Value]:
    return [a.of[name] for name in node.reads() if name in a.of]


def _value(a: Analysis, argument: Any) -> Value:
    """An argument that is a tensor, or a number as a value of no axes."""
    if isinstance(argument, Ref) and argument.name in a.of:
        return a.of[argument.name]
    number = argument if isinstance(argument, (int, float)) else None
    if isinstance(argument, Ref) and argument.name not in a.by_batch:
        known = a.numbers[argument.name]
        number = known if isinstance(known, (int, float)) else None
    return Value(axes=(), number=None if number is None else float(number))


def _number(a: Analysis, argument: Any) -> Any:
    """An argument that is a number or a list of numbers, as it is for the batch of the proof."""
    if isinstance(argument, Ref):
        return a.numbers[argument.name]
    if isinstance(argument, tuple):
        return tuple(_number(a, item) for item in argument)
    return argument


def _shape(a: Analysis, node: Node, index: int = 0) -> tuple[int, ...]:
    value = a.numbers[node.outputs[index]]
    return tuple(value.shape) if isinstance(value, Tensor) else ()


def _plain(shape: tuple[int, ...], batch: int) -> tuple[MapAxis, ...]:
    """Axes of a value of which nothing is known."""
    axes = [channel(size) for size in shape]
    if shape and shape[0] == batch:
        axes[0] = images(batch)
    return tuple(axes)


def _unknown(a: Analysis, node: Node, text: str, *, failed: bool = False) -> list[Value]:
    values = _values(a, node)
    seen = any(v.seen for v in values)
    base = _common(values, a.layer(node))
    troubles = base.troubles | {a.trouble(text, failed=failed)} if seen else frozenset()
    found = []
    for index, name in enumerate(node.outputs):
        shape = _shape(a, node, index) if name else ()
        axes = _plain(shape, SHAPE_BATCH) if seen else tuple(map(channel, shape))
        cuts = base.cuts if seen else frozenset[Cut]()
        found.append(replace(base, axes=axes, troubles=troubles, cuts=cuts))
    return found


def _common(values: Iterable[Value], source: str = "") -> Value:
    """What outputs inherit from all inputs, whatever becomes of the axes."""
    values = list(values)
    sources = [v.source for v in values if not v.seen and v.source]
    seen = [v for v in values if v.seen]
    return Value(
        axes=(),
        seen=bool(seen),
        cuts=frozenset[Cut]().union(*(v.cuts for v in seen)),
        partial=min((v.partial for v in seen if v.is_map), key=len, default=()),
        troubles=frozenset[Trouble]().union(*(v.troubles for v in seen)),
        source=(sources or [source])[0],
        stored=any(v.stored for v in values),
        trained=any(v.trained for v in values),
    )


def _settled(value: Value) -> Value:
    """A map has no cuts: what it knows of pooled values is a number for all its positions."""
    return replace(value, cuts=frozenset()) if value.is_map else replace(value, partial=())


def _with(value: Value, *troubles: Trouble) -> Value:
    if not value.seen:
        return value
    return replace(value, troubles=value.troubles | set(troubles))


def _index(value: Value, axis: int) -> int:
    return axis % max(1, len(value.axes))


def _indices(value: Value, axes: Any) -> list[int]:
    if axes is None or axes == ():
        return list(range(len(value.axes)))
    many = axes if isinstance(axes, tuple) else (axes,)
    return [_index(value, axis) for axis in many]


# Joining axes


def _join(
    a: Analysis,
    node: Node,
    parts: list[tuple[MapAxis, Value]],
    *,
    layer: str = "",
    failed: bool = True,
) -> tuple[MapAxis, list[Trouble]]:
    """One axis from those of several values that meet along it."""
    troubles: list[Trouble] = []
    parts = [(axis, value) for axis, value in parts if axis]
    if not parts:
        return (), []
    (first, owner), *rest = parts
    known = [(atom, owner) for atom in first]
    for axis, value in rest:
        one, other = refine(tuple(atom for atom, _ in known), axis)
        owners = _spread(known, one)
        known = [
            _meet(a, node, (x, vx), (y, value), troubles, layer, failed)
            for x, vx, y in zip(one, owners, other, strict=True)
        ]
    return tuple(atom for atom, _ in known), troubles


def _spread(known: list[tuple[Atom, Value]], refined: list[Atom]) -> list[Value]:
    """Which value each refined atom came from."""
    owners: list[Value] = []
    pending = list(known)
    left = 1
    for atom in refined:
        if left == 1:
            whole, owner = pending.pop(0)
            left = whole.size
        owners.append(owner)
        left //= atom.size
    return owners


def _meet(
    a: Analysis,
    node: Node,
    one: tuple[Atom, Value],
    other: tuple[Atom, Value],
    troubles: list[Trouble],
    layer: str,
    failed: bool,
) -> tuple[Atom, Value]:
    (x, vx), (y, vy) = one, other
    kinds = {x.kind, y.kind}
    if x.kind is AtomKind.EVEN:
        return other
    if y.kind is AtomKind.EVEN:
        return one
    if kinds == {AtomKind.PLACE}:
        if x.frame != y.frame:
            troubles.append(
                a.trouble(
                    f"{_name(node)} lets each position meet one somewhere else (the map is turned "
                    "or mirrored)"
                )
            )
        return (x, vx) if x.cells >= y.cells else (y, vy)
    if AtomKind.PLACE in kinds:
        (atom, owner), (code, stranger) = (one, other) if x.kind is AtomKind.PLACE else (other, one)
        if code.kind is AtomKind.IMAGE:
            troubles.append(a.trouble(f"{_name(node)} lets images meet positions"))
        elif stranger.is_map:
            troubles.append(a.trouble(f"{_name(node)} lets channels meet positions"))
        else:
            what = layer or (stranger.source and f"layer {stranger.source}") or _name(node)
            what = what if stranger.stored or layer else f"{stranger.source or _name(node)}"
            text = (
                f"{what} has numbers of its own for each position, so a position can be told by "
                "its place"
            )
            lost = any(not t.failed and not t.batch for t in stranger.troubles)  # its axes, before
            troubles.append(a.trouble(text, failed=failed and not lost))
        return atom, owner
    if AtomKind.IMAGE in kinds and AtomKind.CHANNEL in kinds:
        image = one if x.kind is AtomKind.IMAGE else other
        if not a.training:
            troubles.append(
                a.trouble(f"{_name(node)} has other numbers for each image of a batch", batch=True)
            )
        return image
    return one


def _broadcast(
    a: Analysis,
    node: Node,
    values: list[Value],
    shape: tuple[int, ...],
    *,
    layer: str = "",
    failed: bool = True,
) -> Value:
    """A value of which each element comes from the same element of the others."""
    axes, troubles = [], list[Trouble]()
    for index, size in enumerate(shape):
        parts = []
        for value in values:
            own = index - len(shape) + len(value.axes)
            if own >= 0 and extent(value.axes[own]) == size:
                parts.append((value.axes[own], value))
        axis, found = _join(a, node, parts, layer=layer, failed=failed)
        axes.append(axis if axis or size == 1 else even(size))
        troubles += found
    base = replace(_common(values, _name(node)), axes=tuple(axes))
    return _settled(_with(base, *troubles))


@_rule(_ELEMENTWISE)
def _elementwise(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    values = [_value(a, item) for item in given.values() if _is_operand(a, item)]
    name = _name(node).removesuffix("_")
    found = []
    for index, output in enumerate(node.outputs):
        if output:
            found.append(_broadcast(a, node, values, _shape(a, node, index)))
        else:
            found.append(Value(axes=()))
    if name in ("mul", "div", "multiply", "divide", "true_divide") and len(values) > 1:
        found[0] = _scaled(found[0], values[0], values[1], divided=name not in ("mul", "multiply"))
    numbers = [v.number for v in values]
    if found and None not in numbers and not found[0].seen:
        found[0] = replace(found[0], number=_computed(name, numbers))
    elif name in ("dropout", "feature_dropout", "alpha_dropout") and not a.training:
        found[0] = replace(found[0], number=values[0].number, total=values[0].total)
    return found


def _is_operand(a: Analysis, item: Any) -> bool:
    if isinstance(item, Ref):
        return True
    return isinstance(item, (int, float)) and not isinstance(item, bool)


def _computed(name: str, numbers: list[float | None]) -> float | None:
    match name, numbers:
        case ("add" | "mul" | "sub" | "div", [float(x), float(y), *_]):
            if name == "add":
                return x + y
            if name == "sub":
                return x - y
            if name == "mul":
                return x * y
            return x / y if y else None
        case ("neg", [float(x)]):
            return -x
        case ("reciprocal", [float(x)]) if x:
            return 1 / x
    return None


def _scaled(found: Value, one: Value, other: Value, *, divided: bool) -> Value:
    """Keep track of a factor, so that a sum divided by its positions is known as a mean."""
    if other.seen and one.number is not None and not divided:
        one, other = other, one
    if not one.seen or other.seen or other.number is None or other.number == 0:
        return found
    factor = 1 / other.number if divided else other.number
    positions, before = one.total or (1, 1.0)
    return _mean_if_due(replace(found, total=(positions, before * factor)))


def _mean_if_due(value: Value) -> Value:
    if value.total is None or abs(value.total[0] * value.total[1] - 1) > 1e-3:
        return value
    partial = tuple(
        ("mean" if kind == "sum" else kind, size, cells) for kind, size, cells in value.partial
    )
    cuts = frozenset(
        replace(cut, mean=True, kind="mean") if cut.kind == "sum" else cut for cut in value.cuts
    )
    return replace(value, partial=partial, cuts=cuts)


# The same numbers in another shape


@_rule(_AS_IT_IS)
def _same(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    return [_value(a, node.args[0])]


@_rule("copy")
def _copy(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    return [_broadcast(a, node, [_value(a, node.args[1])], _shape(a, node))]


@_rule(_VIEWS)
def _view(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    value = _value(a, node.args[0])
    shape = _shape(a, node)
    axes = regroup(value.axes, shape)
    found = replace(value, axes=axes)
    sizes = given.get("size", given.get("shape"))
    if isinstance(sizes, tuple) and len(sizes) == len(axes) and value.seen:
        for size, axis in zip(sizes, axes, strict=True):
            by_batch = isinstance(size, Ref) and size.name in a.by_batch
            if by_batch and not has([axis], AtomKind.IMAGE):
                text = f"{_name(node)} gives a shape that depends on the number of images"
                return [_with(found, a.trouble(text))]
    return [found]


@_rule("permute transpose t movedim swapaxes numpy_T adjoint mT moveaxis swapdims")
def _permute(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    value = _value(a, node.args[0])
    count = len(value.axes)
    settings = [_number(a, item) for item in node.args[1:]]
    marked = torch.empty(tuple(range(2, 2 + count)), device="meta")
    marked = resolve(node.op)(marked, *[list(s) if isinstance(s, tuple) else s for s in settings])
    return [replace(value, axes=tuple(value.axes[size - 2] for size in marked.shape))]


@_rule("expand expand_as broadcast_to")
def _expand(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    value = _value(a, node.args[0])
    shape = _shape(a, node)
    axes = []
    for index, size in enumerate(shape):
        own = index - len(shape) + len(value.axes)
        axis = value.axes[own] if own >= 0 else ()
        axes.append(axis or even(size))
    return [replace(value, axes=tuple(axes))]


@_rule("repeat tile")
def _repeat(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    value = _value(a, node.args[0])
    shape = _shape(a, node)
    axes = []
    for index, size in enumerate(shape):
        own = index - len(shape) + len(value.axes)
        axis = value.axes[own] if own >= 0 else ()
        axes.append((*even(size // extent(axis)), *axis))
    return [replace(value, axes=tuple(axes))]


@_rule(_CREATED)
def _created(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    name = _name(node)
    own = name.startswith(("arange", "linspace", "logspace", "eye", "randperm", "meshgrid",
                           "tril_indices", "triu_indices"))  # fmt: skip
    number: float | None = None
    if "zeros" in name:
        number = 0.0
    elif "ones" in name:
        number = 1.0
    elif "full" in name or name == "scalar_tensor":
        number = _value(a, given.get("fill_value", given.get("s"))).number
    found = []
    for index, output in enumerate(node.outputs):
        shape = _shape(a, node, index) if output else ()
        axes = tuple(channel(n) if own else even(n) for n in shape)
        found.append(Value(axes=axes, number=number, source=name))
    return found


@_rule("flip fliplr flipud")
def _flip(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    value = _value(a, node.args[0])
    if not isinstance(given.get("dims"), tuple):
        raise Inseparable
    dims = _indices(value, given["dims"])
    axes = tuple(turned(axis) if i in dims else axis for i, axis in enumerate(value.axes))
    found = replace(value, axes=axes)
    return [_over_images(a, node, found, [value.axes[i] for i in dims])]


@_rule("rot90")
def _rot90(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    value = _value(a, node.args[0])
    one, other = _indices(value, given.get("dims", (0, 1)))
    axes = list(value.axes)
    for _ in range(given.get("k", 1) % 4):  # a quarter: rows become columns, read from their end
        axes[one], axes[other] = turned(axes[other]), axes[one]
    return [_over_images(a, node, replace(value, axes=tuple(axes)), [axes[one], axes[other]])]


@_rule("roll")
def _roll(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    value = _value(a, node.args[0])
    dims = given.get("dims") or ()
    rolled = [value.axes[i] for i in _indices(value, dims)]
    if value.seen and any(len(axis) > 1 and has([axis], AtomKind.PLACE) for axis in rolled):
        raise Inseparable
    if value.seen and not dims:
        raise Inseparable
    axes = tuple(
        channel(extent(axis)) if axis in rolled and not value.seen else axis for axis in value.axes
    )
    return [_over_images(a, node, replace(value, axes=axes, number=value.number), rolled)]


def _over_images(a: Analysis, node: Node, found: Value, axes: Iterable[MapAxis]) -> Value:
    """Note that an operation takes images of a batch together; training may, as a norm does."""
    if a.training or not found.seen or not has(list(axes), AtomKind.IMAGE):
        return found
    text = f"{_name(node)} takes the images of a batch together"
    return _with(found, a.trouble(text, batch=True))


# Reductions


def _reduce(
    a: Analysis,
    node: Node,
    value: Value,
    axes: list[int],
    kind: str,
    name: str,
    *,
    keep: bool = False,
) -> Value:
    """Take the positions of some axes together, one number a channel."""
    gone = [value.axes[i] for i in axes]
    left = tuple(
        () if i in axes else axis
        for i, axis in enumerate(value.axes)
        if keep or i not in axes
    )  # fmt: skip
    places = atoms_of(tuple(gone), AtomKind.PLACE)
    partial = value.partial + tuple((kind, atom.size, atom.cells) for atom in places)
    found = replace(value, axes=left, number=None)
    total = value.total
    if kind == "sum" and places:
        positions, factor = total or (1, 1.0)
        total = (positions * math.prod(atom.size for atom in places), factor)
    elif kind != "mean" and any(has([axis], k) for axis in gone for k in AtomKind):
        total = None
    found = replace(found, total=total, partial=partial)
    if not value.seen:
        if value.number is not None:
            counts = math.prod(extent(axis) for axis in gone)
            whole = {"sum": value.number * counts}.get(kind, value.number)
            found = replace(found, number=whole if kind in ("sum", "mean", "max", "min") else None)
        return replace(found, partial=())
    if places and not found.is_map:
        found = replace(found, cuts=frozenset([_cut(name, partial, value)]), partial=())
    return _over_images(a, node, _mean_if_due(found), gone)


def _cut(name: str, partial: tuple[tuple[str, int, int], ...], *values: Value) -> Cut:
    kinds = {kind for kind, _, _ in partial}
    return Cut(
        name=name,
        mean=kinds == {"mean"},
        kind="sum" if kinds == {"sum", "mean"} else " and ".join(sorted(kinds)),
        size=tuple(size for _, size, _ in partial),
        cells=tuple(cells for _, _, cells in partial),
        after=any(t.failed for v in values for t in v.troubles),
    )


@_rule(" ".join(_REDUCTIONS))
def _reduction(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    value = _value(a, node.args[0])
    name = _name(node)
    kind = _REDUCTIONS[name]
    others = [v for v in (_value(a, item) for item in node.args[1:]) if v.axes]
    if others:  # max and min of two tensors
        return _elementwise(a, node, given)
    axes = _indices(value, _number(a, given.get("dim")))
    keep = bool(given.get("keepdim", False))
    found = [_reduce(a, node, value, axes, kind, node.outputs[0], keep=keep)]
    tells = any(has([value.axes[i]], AtomKind.PLACE) for i in axes)
    if name == "nanmean" and tells:
        text = "nanmean leaves out what is NaN, so it may be a mean of a part; mean does not"
        found[0] = _with(found[0], a.trouble(text))
    if kind.startswith("arg") and tells:
        found[0] = _with(found[0], a.trouble(f"{name} tells at which position", failed=True))
    for output in node.outputs[1:]:
        if name in ("std_mean", "var_mean"):
            second = _reduce(a, node, value, axes, "mean", output, keep=keep)
        elif name == "aminmax":
            second = _reduce(a, node, value, axes, "max", output, keep=keep)
        else:  # where the value was found
            second = _reduce(a, node, value, axes, kind, output, keep=keep)
            if tells:
                text = f"{name} tells at which position"
                second = _with(second, a.trouble(text, failed=True))
        found.append(second)
    return found


# Norms


@_rule("softmax log_softmax _softmax _log_softmax softmin")
def _softmax(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    value = _value(a, node.args[0])
    axis = value.axes[_index(value, given["dim"])] if value.axes else ()
    found = replace(value, number=None, total=None)
    return [_over_images(a, node, found, [axis])]


@_rule("batch_norm instance_norm group_norm")
def _channel_norm(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    value = _value(a, given["input"])
    names = ("weight", "bias", "running_mean", "running_var")
    weights = [_value(a, given[n]) for n in names if given.get(n) is not None]
    aligned = [_along(w, len(value.axes), 1) for w in weights]
    found = _broadcast(a, node, [value, *aligned], _shape(a, node), layer=a.layer(node))
    name = _name(node)
    if name == "batch_norm" and given.get("training"):
        found = _over_images(a, node, found, [value.axes[0]])
    if name == "group_norm":
        found = _over_images(a, node, found, [value.axes[1]])
        if has([value.axes[1]], AtomKind.PLACE):
            raise Inseparable
    if name == "instance_norm" and has(list(value.axes[2:]), AtomKind.IMAGE):
        raise Inseparable
    return [found]


def _along(weight: Value, count: int, axis: int) -> Value:
    """A vector, laid along one axis of a value of ``count`` axes."""
    axes: list[MapAxis] = [()] * count
    if weight.axes:
        axes[axis] = weight.axes[0]
    return replace(weight, axes=tuple(axes))


@_rule("layer_norm rms_norm")
def _layer_norm(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    value = _value(a, given["input"])
    count = len(given["normalized_shape"])
    weights = [_value(a, given[n]) for n in ("weight", "bias") if given.get(n) is not None]
    kind = "LayerNorm" if _name(node) == "layer_norm" else "RMSNorm"
    layer = next((f"the {kind} {w.source}" for w in weights if w.source), f"a {kind}")
    found = _broadcast(
        a, node, [value, *weights], _shape(a, node), layer=layer, failed=False
    )  # fmt: skip
    return [_over_images(a, node, found, value.axes[len(value.axes) - count :])]


@_rule("prelu _prelu_kernel")
def _prelu(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    value, weight = _value(a, node.args[0]), _value(a, node.args[1])
    if len(weight.axes) == 1:
        weight = _along(weight, len(value.axes), 1 if len(value.axes) > 1 else 0)
    return [_broadcast(a, node, [value, weight], _shape(a, node), layer=a.layer(node))]


# Products


def _contract(
    a: Analysis, node: Node, operands: list[tuple[Value, str]], labels: str
) -> Value:  # fmt: skip
    """A product of values whose axes are labeled, summed over the labels that are not kept."""
    troubles: list[Trouble] = []
    values = [value for value, _ in operands]
    base = _common(values, _name(node))
    axes = []
    for label in labels:
        parts = [(v.axes[t.index(label)], v) for v, t in operands if label in t]
        axis, found = _join(a, node, parts)
        axes.append(axis)
        troubles += found
    summed = sorted({label for _, t in operands for label in t} - set(labels))
    weighted = False
    numbers = [v.number for v in values if not v.seen]
    factor = math.prod(n for n in numbers if n is not None)
    known = None not in numbers
    partial: list[tuple[str, int, int]] = []
    positions = 1
    batch = False
    for label in summed:
        parts = [(v.axes[t.index(label)], v) for v, t in operands if label in t]
        atoms, found, mixed = _summed(a, node, parts)
        troubles += found
        weighted |= mixed
        batch |= any(has([axis], AtomKind.IMAGE) for axis, v in parts if v.seen)
        for atom in atoms:
            partial.append(("weighted sum" if mixed else "sum", atom.size, atom.cells))
            positions *= atom.size
    found_value = _with(replace(base, axes=tuple(axes)), *troubles)
    if not base.seen:
        return found_value
    if batch and not a.training:
        text = f"{_name(node)} takes the images of a batch together"
        found_value = _with(found_value, a.trouble(text, batch=True))
    if found_value.is_map:
        kept = () if weighted else (*base.partial, *partial)
        return replace(found_value, partial=kept, cuts=frozenset())
    maps = [v for v in values if v.is_map]
    if not maps:
        return replace(found_value, partial=())
    before = min((v.partial for v in maps), key=len)
    seen_total = [v.total or (1, 1.0) for v in values if v.seen]
    total = None
    if len(seen_total) == 1 and known:
        total = (seen_total[0][0] * positions, seen_total[0][1] * factor)
    if any(t.failed for t in troubles):
        return replace(found_value, partial=(), cuts=frozenset(), total=None)
    cut = _cut(node.outputs[0], (*before, *partial), *values)
    return _mean_if_due(replace(found_value, partial=(), cuts=frozenset([cut]), total=total))


def _summed(
    a: Analysis, node: Node, parts: list[tuple[MapAxis, Value]]
) -> tuple[list[Atom], list[Trouble], bool]:
    """Positions of an axis that is summed over, what is wrong, and whether maps weigh them."""
    troubles: list[Trouble] = []
    places = [(axis, v) for axis, v in parts if has([axis], AtomKind.PLACE)]
    if not places:
        return [], [], False
    atoms = atoms_of((places[0][0],), AtomKind.PLACE)
    weighted = len(places) > 1
    (first, owner), *rest = [places[0], *[p for p in parts if p is not places[0]]]
    for axis, value in rest:
        if not axis:
            continue
        for x, y in zip(*refine(first, axis), strict=True):
            if x.kind is not AtomKind.PLACE and y.kind is not AtomKind.PLACE:
                continue
            if x.kind is y.kind is AtomKind.PLACE:
                if x.frame != y.frame:
                    troubles.append(
                        a.trouble(f"{_name(node)} lets each position meet one somewhere else")
                    )
            elif AtomKind.EVEN not in (x.kind, y.kind):
                stranger = value if x.kind is AtomKind.PLACE else owner
                troubles.append(_collapse(a, node, stranger))
    return atoms, troubles, weighted


def _collapse(a: Analysis, node: Node, weights: Value) -> Trouble:
    what = f"layer {weights.source} ({_name(node)})" if weights.stored else _name(node)
    return a.trouble(f"{what} gives each position weights of its own", failed=True, round_it=True)


@_rule("linear")
def _linear(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    value, weight = _value(a, given["input"]), _value(a, given["weight"])
    rows = "abcdefghijklm"[: len(value.axes) - 1]
    found = _contract(
        a, node, [(value, rows + "z"), (weight, "yz"[: len(weight.axes)])], rows + "y"
    )
    return [_biased(a, node, found, given.get("bias"))]


def _biased(a: Analysis, node: Node, found: Value, bias: Any) -> Value:
    if bias is None:
        return found
    both = _broadcast(a, node, [found, _value(a, bias)], _shape(a, node))
    return replace(both, cuts=found.cuts, partial=found.partial)


@_rule("matmul mm bmm mv dot")
def _matmul(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    one, other = _value(a, node.args[0]), _value(a, node.args[1])
    return [_product(a, node, one, other)]


def _product(a: Analysis, node: Node, one: Value, other: Value) -> Value:
    wide = max(len(one.axes), len(other.axes), 2) - 2
    rows = "abcdefghijklm"[:wide]
    left = (rows + "yz")[-len(one.axes) :] if len(one.axes) > 1 else "z"
    right = (rows + "zx")[-len(other.axes) :] if len(other.axes) > 1 else "z"
    kept = rows + ("y" if len(one.axes) > 1 else "") + ("x" if len(other.axes) > 1 else "")
    kept = "".join(label for label in kept if label in left or label in right)
    return _contract(a, node, [(one, left), (other, right)], kept)


@_rule("addmm baddbmm addmv")
def _addmm(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    found = _product(a, node, _value(a, node.args[1]), _value(a, node.args[2]))
    return [_biased(a, node, found, node.args[0])]


@_rule("einsum")
def _einsum(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    equation = str(node.args[0]).replace(" ", "")
    operands = [_value(a, item) for item in node.args[1]]
    inputs, _, output = equation.partition("->")
    terms = inputs.split(",")
    if "->" not in equation or "." in equation or any(len(set(t)) < len(t) for t in terms):
        raise Inseparable
    return [_contract(a, node, list(zip(operands, terms, strict=True)), output)]


@_rule("tensordot")
def _tensordot(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    one, other = _value(a, node.args[0]), _value(a, node.args[1])
    left, right = list("abcdefgh"[: len(one.axes)]), list("stuvwxyz"[: len(other.axes)])
    summed_left, summed_right = (
        _indices(one, given["dims_self"]),
        _indices(other, given["dims_other"]),
    )
    for i, j in zip(summed_left, summed_right, strict=True):
        right[j] = left[i]
    gone = {left[i] for i in summed_left}
    kept = "".join(label for label in (*left, *right) if label not in gone)
    return [_contract(a, node, [(one, "".join(left)), (other, "".join(right))], kept)]


@_rule("cdist")
def _distances(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    one, other = _value(a, node.args[0]), _value(a, node.args[1])
    turned_round = replace(other, axes=(*other.axes[:-2], other.axes[-1], other.axes[-2]))
    if has([one.axes[-1], other.axes[-1]], AtomKind.PLACE):
        raise Inseparable
    return [replace(_product(a, node, one, turned_round), total=None)]


@_rule("cosine_similarity")
def _cosine(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    both = [_value(a, node.args[0]), _value(a, node.args[1])]
    wide = max(len(v.axes) for v in both)
    at = given.get("dim", 1) % wide
    sizes = [[1] * (wide - len(v.axes)) + [extent(axis) for axis in v.axes] for v in both]
    found = _broadcast(a, node, both, tuple(map(max, *sizes)))
    if any(has([found.axes[at]], kind) for kind in (AtomKind.PLACE, AtomKind.IMAGE)):
        raise Inseparable
    axes = (*found.axes[:at], *found.axes[at + 1 :])
    return [replace(found, axes=axes, total=None, number=None)]


@_rule("scaled_dot_product_attention")
def _attention(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    query, key, value = (_value(a, given[n]) for n in ("query", "key", "value"))
    rows = "abcdefgh"[: len(query.axes) - 2]
    found = _contract(
        a, node,
        [(query, rows + "qe"), (key, rows + "ke"), (value, rows + "kv")],
        rows + "qv",
    )  # fmt: skip
    mask = given.get("attn_mask")
    if given.get("is_causal") or (mask is not None and _value(a, mask).axes):
        raise Inseparable
    return [replace(found, total=None)]


# Windows


def _pair(value: Any, count: int) -> tuple[int, ...]:
    if isinstance(value, tuple):
        return value * count if len(value) == 1 else value
    return (value,) * count


def _windowed(
    axis: MapAxis, size: int, kernel: int, stride: int, padding: int, dilation: int
) -> MapAxis:  # fmt: skip
    """Positions of windows over the positions of an axis."""
    atoms = [atom for atom in axis if atom.kind is AtomKind.PLACE]
    if not atoms:
        return channel(size)
    if len(axis) > 1:
        return place(size, "*".join(atom.frame for atom in atoms), size)
    (atom,) = atoms
    reach = dilation * (kernel - 1) + 1
    first, last = padding + atom.pad[0], padding + atom.size - atom.pad[1]
    full = sum(i * stride < last and i * stride + reach > first for i in range(size))
    return place(size, atom.frame, min(full, atom.cells))


def _wide_padding(
    a: Analysis, node: Node, axis: MapAxis, padding: int, reach: int, fixed: bool
) -> Trouble | None:
    """Padding from which every position could learn where it is."""
    atom = next((atom for atom in axis if atom.kind is AtomKind.PLACE), None)
    if atom is None:
        return None
    padded = padding + max(atom.pad)
    inside = atom.size - sum(atom.pad)
    if padded and inside > 2 and (2 * padded >= inside or (fixed and reach >= _WIDE <= 2 * reach
                                  and 2 * reach >= inside)):  # fmt: skip
        return a.trouble(
            f"{a.layer(node)} pads a map of {inside} by {padded}, so that every position could "
            "tell its place by the padding"
        )
    return None


def _whole_map(
    a: Analysis, node: Node, axis: MapAxis, reach: int, taps: int
) -> Trouble | None:  # fmt: skip
    """Weights for every position of a map, with padding around them."""
    atom = next((atom for atom in axis if atom.kind is AtomKind.PLACE), None)
    inside = 0 if atom is None else atom.size - sum(atom.pad)
    if not _SMALLEST < inside <= reach or taps <= _SMALLEST:
        return None
    return a.trouble(
        f"{a.layer(node)} has weights for {taps} positions and reads a map of {inside}, so that "
        "it can give each position weights of its own"
    )


@_rule("conv1d conv2d conv3d convolution")
def _conv(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    value, weight = _value(a, given["input"]), _value(a, given["weight"])
    shape, kernel_shape = _shape(a, node), a.numbers[given["weight"].name].shape
    count = len(shape) - 2
    if len(value.axes) != count + 2 or given.get("transposed"):
        raise Inseparable
    if weight.seen and (weight.is_map or has(list(weight.axes), AtomKind.IMAGE)):
        raise Inseparable
    stride = _pair(_number(a, given.get("stride", 1)), count)
    dilation = _pair(_number(a, given.get("dilation", 1)), count)
    padding = given.get("padding", 0)
    kernel = tuple(kernel_shape[2:])
    if isinstance(padding, str):
        same = padding == "same"
        pads = tuple(d * (k - 1) // 2 if same else 0 for d, k in zip(dilation, kernel, strict=True))
    else:
        pads = _pair(_number(a, padding), count)
    troubles: list[Trouble] = []
    if value.seen and has([value.axes[1]], AtomKind.PLACE):
        troubles.append(_collapse(a, node, weight))
    found = replace(_common([value, weight], _name(node)), partial=value.partial)
    if has([value.axes[1]], AtomKind.IMAGE):
        raise Inseparable
    axes: list[MapAxis] = [value.axes[0], channel(shape[1])]
    total = value.total
    partial = list(value.partial)
    for i in range(count):
        axis, size = value.axes[i + 2], shape[i + 2]
        if kernel[i] == 1 and stride[i] == 1 and not pads[i]:
            axes.append(axis)
            continue
        if has([axis], AtomKind.IMAGE):
            raise Inseparable
        places = atoms_of((axis,), AtomKind.PLACE)
        if places and size == 1:
            whole = kernel[i] == extent(axis) and not pads[i] and not weight.trained
            if whole and not weight.seen and all(k.kind is AtomKind.EVEN for k in
                                                 weight.axes[i + 2]):  # fmt: skip
                partial += [("sum", atom.size, atom.cells) for atom in places]
                positions, factor = total or (1, 1.0)
                total = (positions * extent(axis), factor)
            else:
                troubles.append(_collapse(a, node, weight))
            axes.append(())
            continue
        reach = dilation[i] * (kernel[i] - 1) + 1
        trouble = _wide_padding(a, node, axis, pads[i], reach, not weight.trained)
        if trouble is None:
            trouble = _whole_map(a, node, axis, reach, min(kernel[i], reach))
        if trouble is not None and value.seen:
            troubles.append(trouble)
        axes.append(_windowed(axis, size, kernel[i], stride[i], pads[i], dilation[i]))
    found = _with(replace(found, axes=tuple(axes), partial=tuple(partial)), *troubles)
    if total is not None and weight.number is not None:
        total = (total[0], total[1] * weight.number)
        found = replace(found, total=total)
    found = _pooled_now(found, value, node)
    bias = given.get("bias")
    if bias is not None:
        aligned = _along(_value(a, bias), len(shape), 1)
        joined = _broadcast(a, node, [found, aligned], shape)
        found = replace(joined, cuts=found.cuts, partial=found.partial)
    return [found]


def _pooled_now(found: Value, value: Value, node: Node) -> Value:
    """Cut a value whose last positions were just taken together."""
    if value.is_map and not found.is_map and found.partial:
        cut = _cut(node.outputs[0], found.partial, value, found)
        found = replace(found, cuts=frozenset([cut]), partial=())
    elif value.is_map and not found.is_map:
        return found
    return _mean_if_due(_settled(found))


@_rule("conv_transpose1d conv_transpose2d")
def _conv_transpose(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    value, weight = _value(a, given["input"]), _value(a, given["weight"])
    shape, kernel = _shape(a, node), a.numbers[given["weight"].name].shape[2:]
    if weight.seen or has(list(value.axes[1:]), AtomKind.IMAGE):
        raise Inseparable
    axes: list[MapAxis] = [value.axes[0], *map(channel, shape[1:])]
    if value.is_map:
        count = len(shape) - 2
        stride = _pair(_number(a, given.get("stride", 1)), count)
        dilation = _pair(_number(a, given.get("dilation", 1)), count)
        if has([value.axes[1]], AtomKind.PLACE):
            raise Inseparable
        for i in range(count):  # few weights, so that none is a position's own
            reach = dilation[i] * (kernel[i] - 1) + 1
            axis, size = value.axes[i + 2], shape[i + 2]
            atom = axis[0] if len(axis) == 1 else None
            if atom is None or reach > max(_SMALLEST, 2 * stride[i]) or size < atom.size:
                raise Inseparable
            if max(_SMALLEST, reach / stride[i]) > atom.cells:
                raise Inseparable
            axes[i + 2] = _enlarged(axis, size)
    found = replace(_common([value, weight], _name(node)), axes=tuple(axes), partial=value.partial)
    bias = given.get("bias")
    if bias is not None:
        found = _broadcast(a, node, [found, _along(_value(a, bias), len(shape), 1)], shape)
    return [_settled(found)]


_POOLS = {"avg_pool1d": 1, "avg_pool2d": 2, "avg_pool3d": 3, "max_pool1d": 1, "max_pool2d": 2,
          "max_pool2d_with_indices": 2, "max_pool1d_with_indices": 1, "lp_pool2d": 2}  # fmt: skip


@_rule(" ".join(_POOLS))
def _pool(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    name = _name(node)
    value = _value(a, node.args[0])
    count = _POOLS[name]
    shape = _shape(a, node)
    kernel = _pair(_number(a, given["kernel_size"]), count)
    strides = _number(a, given.get("stride"))
    stride = _pair(strides, count) if strides not in (None, (), []) else kernel
    padding = _pair(_number(a, given.get("padding", 0)), count)
    dilation = _pair(_number(a, given.get("dilation", 1)), count)
    kind = "mean" if name.startswith("avg") else "max"
    if given.get("divisor_override") is not None:
        kind = "sum with a divisor of its own"
    axes = list(value.axes)
    partial = list(value.partial)
    troubles: list[Trouble] = []
    first = len(axes) - count
    short = False
    for i in range(count):
        axis, size = axes[first + i], shape[first + i]
        if value.seen and has([axis], AtomKind.IMAGE):
            raise Inseparable
        places = atoms_of((axis,), AtomKind.PLACE)
        reach = dilation[i] * (kernel[i] - 1) + 1
        if kernel[i] == 1 and stride[i] == 1:
            continue
        if places and size == 1:
            short |= reach - padding[i] < extent(axis) or dilation[i] > 1
            partial += [(kind, atom.size, atom.cells) for atom in places]
            axes[first + i] = ()
            continue
        trouble = _wide_padding(a, node, axis, padding[i], reach, kind == "mean")
        if trouble is not None and value.seen and kind == "mean":
            troubles.append(trouble)
        alike = kind == "max" and all(atom.kind is AtomKind.EVEN for atom in axis)
        axes[first + i] = (
            even(size)
            if alike  # the largest of repeats, or of numbers that are drawn anew
            else _windowed(axis, size, kernel[i], stride[i], padding[i], dilation[i])
        )
    if short:
        does = "averages" if kind == "mean" else "looks at"
        module = "".join(part.capitalize() for part in name.split("_")[:2]).replace("2d", "2d")
        sizes = "x".join(str(extent(axis)) for axis in value.axes[first:])
        text = f"{module} {does} {'x'.join(map(str, kernel))} of an {sizes} map"
        text = text if sizes.startswith(("8", "11", "18")) else text.replace(" an ", " a ")
        troubles.append(a.trouble(text, failed=True))
    found = replace(value, axes=tuple(axes), partial=tuple(partial), number=None)
    if kind != "mean":
        found = replace(found, total=None)
    found = _pooled_now(_with(found, *troubles), value, node)
    rest = [
        _with(found, a.trouble(f"{name} tells at which position", failed=True))
        for _ in node.outputs[1:]
    ]
    return [found, *rest]


@_rule("adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d "
       "adaptive_max_pool2d _adaptive_avg_pool2d")  # fmt: skip
def _adaptive(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    name = _name(node)
    value = _value(a, node.args[0])
    shape = _shape(a, node)
    count = int(name[-2])
    kind = "mean" if "avg" in name else "max"
    axes, partial = list(value.axes), list(value.partial)
    first = len(axes) - count
    for i in range(first, len(axes)):
        axis = axes[i]
        if value.seen and has([axis], AtomKind.IMAGE):
            raise Inseparable
        places = atoms_of((axis,), AtomKind.PLACE)
        if shape[i] == extent(axis):
            continue
        if shape[i] == 1:
            partial += [(kind, atom.size, atom.cells) for atom in places]
            axes[i] = ()
        elif places:
            frame = "*".join(atom.frame for atom in places)
            cells = min(shape[i], math.prod(atom.cells for atom in places))
            axes[i] = place(shape[i], frame, cells)
        elif axis:
            axes[i] = channel(shape[i])
        else:
            axes[i] = even(shape[i])
    found = replace(value, axes=tuple(axes), partial=tuple(partial), number=None)
    if kind != "mean":
        found = replace(found, total=None)
    found = _pooled_now(found, value, node)
    rest = [
        _with(found, a.trouble(f"{name} tells at which position", failed=True))
        for _ in node.outputs[1:]
    ]
    return [found, *rest]


@_rule("upsample_nearest1d upsample_nearest2d upsample_linear1d upsample_bilinear2d "
       "upsample_bicubic2d _upsample_nearest_exact2d _upsample_bilinear2d_aa "
       "_upsample_bicubic2d_aa")  # fmt: skip
def _upsample(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    value = _value(a, node.args[0])
    shape = _shape(a, node)
    axes = list(value.axes)
    resized = [i for i in range(2, len(axes)) if shape[i] != extent(axes[i])]
    before = tuple(extent(axis) for axis in axes)
    partial = list(value.partial)
    for i in resized:
        axis = axes[i]
        if len(axis) > 1 or has([axis], AtomKind.IMAGE):
            raise Inseparable
        if not axis:
            axes[i] = even(shape[i])
        elif axis[0].kind is not AtomKind.PLACE:
            axes[i] = channel(shape[i])
        elif shape[i] > 1:
            axes[i] = place(shape[i], axis[0].frame, min(shape[i], axis[0].cells))
        else:
            axes[i] = ()
            partial.append(("mean", axis[0].size, axis[0].cells))
    found = replace(value, axes=tuple(axes), number=None, total=None, partial=tuple(partial))
    if len(partial) > len(value.partial) and value.seen and not _even_resize(a, node, before):
        text = (
            f"{_name(node)} does not give all positions of the map the same weight, as a mean does"
        )
        found = _with(found, a.trouble(text, failed=True))
    return [_pooled_now(found, value, node)]


def _even_resize(a: Analysis, node: Node, before: tuple[int, ...]) -> bool:
    """Whether resizing gives every position the same weight: tried on each position alone."""
    size = before[2:]
    cells = math.prod(size)
    if cells > 4096:
        return False
    impulses = torch.eye(cells).reshape(cells, 1, *size)
    settings = [_number(a, item) for item in node.args[1:]]
    kwargs = {key: _number(a, item) for key, item in node.kwargs.items()}
    settings = [list(s) if isinstance(s, tuple) else s for s in settings]
    weights = resolve(node.op)(impulses, *settings, **kwargs).reshape(cells, -1)
    return bool(torch.allclose(weights, torch.full_like(weights, 1 / cells), atol=1e-4)) or (
        weights.shape[1] > 1 and _even_lines(weights, size)
    )


def _even_lines(weights: Tensor, size: tuple[int, ...]) -> bool:
    """The same where one of two axes becomes 1 and the other stays."""
    lines = weights.reshape(*size, -1)
    for axis in range(len(size)):
        if torch.allclose(lines, lines.mean(axis, keepdim=True).expand_as(lines), atol=1e-4):
            return True
    return False


@_rule("constant_pad_nd pad reflection_pad1d reflection_pad2d replication_pad1d "
       "replication_pad2d _pad_circular")  # fmt: skip
def _pad(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    value = _value(a, node.args[0])
    pads = _number(a, given.get("pad", given.get("padding")))
    shape = _shape(a, node)
    axes = list(value.axes)
    troubles: list[Trouble] = []
    for i in range(len(pads) // 2):
        left, right = pads[2 * i], pads[2 * i + 1]
        at = len(axes) - 1 - i
        axis = axes[at]
        if left == right == 0:
            continue
        if value.seen and has([axis], AtomKind.IMAGE):
            raise Inseparable
        places = [atom for atom in axis if atom.kind is AtomKind.PLACE]
        if not places:
            axes[at] = channel(shape[at])
            continue
        if len(axis) > 1:
            raise Inseparable
        (atom,) = places
        if left < 0 or right < 0:
            axes[at] = _cropped(a, axis, -left, -right, shape[at], troubles)
            continue
        size = place(shape[at], atom.frame, atom.cells, (atom.pad[0] + left, atom.pad[1] + right))
        inside = atom.size - sum(atom.pad)
        if inside > 2 and 2 * max(size[0].pad) >= inside and value.seen:
            troubles.append(
                a.trouble(
                    f"{_name(node)} pads a map of {inside} by {max(size[0].pad)}, so that every "
                    "position could tell its place by the padding"
                )
            )
        axes[at] = size
    found = replace(value, axes=tuple(axes), number=None, total=None)
    return [_with(found, *troubles)]


def _cropped(
    a: Analysis, axis: MapAxis, left: int, right: int, size: int, troubles: list[Trouble]
) -> MapAxis:
    (atom,) = axis
    if left != right or left > _CROP:
        troubles.append(
            a.trouble(
                f"positions are cut off ({left} at one end, {right} at the other) before the "
                "mean, which may make a mean of a part"
            )
        )
    return place(size, atom.frame, min(size, atom.cells)) if size > 1 else ()


@_rule("pixel_unshuffle")
def _pixel_unshuffle(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    value = _value(a, node.args[0])
    shape = _shape(a, node)
    axes = list(value.axes)
    if value.seen and any(len(axis) != 1 for axis in axes[-2:]):
        raise Inseparable
    for i in (-2, -1):
        atom = axes[i][0] if axes[i] else None
        if atom is not None and atom.kind is AtomKind.PLACE and shape[i] > 1:
            axes[i] = place(shape[i], atom.frame, min(shape[i], atom.cells))
        elif value.seen:
            raise Inseparable
        else:
            axes[i] = channel(shape[i])
    axes[-3] = channel(shape[-3])
    return [replace(value, axes=tuple(axes), total=None)]


@_rule("pixel_shuffle")
def _pixel_shuffle(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    value = _value(a, node.args[0])
    shape = _shape(a, node)
    special = (AtomKind.PLACE, AtomKind.IMAGE)
    if any(has([value.axes[-3]], kind) for kind in special) or any(
        len(axis) > 1 or has([axis], AtomKind.IMAGE) for axis in value.axes[-2:]
    ):
        raise Inseparable
    axes = list(value.axes)
    axes[-3] = channel(shape[-3])
    for i in (-2, -1):
        axes[i] = _enlarged(axes[i], shape[i])
    return [replace(value, axes=tuple(axes), total=None, number=None)]


def _enlarged(axis: MapAxis, size: int) -> MapAxis:
    """Several numbers of its own for each position; what is no map has nothing but these."""
    places = atoms_of((axis,), AtomKind.PLACE)
    if not places:
        return channel(size)
    (atom,) = places
    return place(size, atom.frame, min(size, atom.cells))


@_rule("channel_shuffle")
def _channel_shuffle(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    value = _value(a, node.args[0])
    if has([value.axes[1]], AtomKind.PLACE) or has([value.axes[1]], AtomKind.IMAGE):
        raise Inseparable
    return [value]


@_rule("im2col")
def _im2col(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    value = _value(a, node.args[0])
    shape = _shape(a, node)
    kernel, stride = _pair(given["kernel_size"], 2), _pair(given["stride"], 2)
    padding, dilation = _pair(given["padding"], 2), _pair(given["dilation"], 2)
    if any(len(axis) != 1 or axis[0].kind is not AtomKind.PLACE for axis in value.axes[2:]):
        raise Inseparable
    grids: list[Atom] = []
    for i, axis in enumerate(value.axes[2:]):
        reach = dilation[i] * (kernel[i] - 1) + 1
        size = (extent(axis) + 2 * padding[i] - reach) // stride[i] + 1
        if size < 2 or 2 * padding[i] >= extent(axis):
            raise Inseparable
        grids += _windowed(axis, size, kernel[i], stride[i], padding[i], dilation[i])
    return [replace(value, axes=(value.axes[0], channel(shape[1]), tuple(grids)), total=None)]


@_rule("unfold")
def _unfold(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    value = _value(a, node.args[0])
    shape = _shape(a, node)
    at = _index(value, given["dimension"])
    axis = value.axes[at]
    if len(axis) > 1 or has([axis], AtomKind.IMAGE) or (axis and shape[at] < 2):
        raise Inseparable
    axes = list(value.axes)
    axes[at] = _windowed(axis, shape[at], given["size"], given["step"], 0, 1)
    return [replace(value, axes=(*axes, channel(shape[-1])), total=None)]


# Parts and wholes


@_rule("cat concat concatenate")
def _cat(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    parts = [_value(a, item) for item in node.args[0]]
    shape = _shape(a, node)
    at = given.get("dim", 0) % len(shape)
    parts = [v for v in parts if len(v.axes) == len(shape)]
    axes, troubles = [], list[Trouble]()
    for i, size in enumerate(shape):
        if i == at:
            axes.append(_cat_axis([v.axes[at] for v in parts], size))
            continue
        axis, found = _join(a, node, [(v.axes[i], v) for v in parts])
        axes.append(axis if axis or size == 1 else even(size))
        troubles += found
    return [_joined_parts(a, node, parts, tuple(axes), troubles)]


def _joined_parts(
    a: Analysis, node: Node, parts: list[Value], axes: tuple[MapAxis, ...], troubles: list[Trouble]
) -> Value:
    found = _settled(_with(replace(_common(parts, _name(node)), axes=axes), *troubles))
    maps = [v.partial for v in parts if v.is_map]
    if found.is_map and len(set(maps)) > 1:
        raise Inseparable
    return found


def _cat_axis(parts: list[MapAxis], size: int) -> MapAxis:
    special = (AtomKind.PLACE, AtomKind.IMAGE)
    if not any(atom.kind in special for axis in parts for atom in axis):
        return channel(size)
    if len(set(parts)) == 1:
        return (*channel(len(parts)), *parts[0])
    tails = {axis[next((i for i, atom in enumerate(axis) if atom.kind in special), len(axis)) :]
             for axis in parts}  # fmt: skip
    if len(tails) > 1:
        raise Inseparable
    tail = tails.pop()
    return (*channel(size // extent(tail)), *tail)


@_rule("stack")
def _stack(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    parts = [_value(a, item) for item in node.args[0]]
    shape = _shape(a, node)
    at = given.get("dim", 0) % len(shape)
    inner = [size for i, size in enumerate(shape) if i != at]
    axes, troubles = [], list[Trouble]()
    for i, size in enumerate(inner):
        axis, found = _join(a, node, [(v.axes[i], v) for v in parts])
        axes.append(axis if axis or size == 1 else even(size))
        troubles += found
    axes.insert(at, channel(len(parts)))
    return [_joined_parts(a, node, parts, tuple(axes), troubles)]


def _part(
    a: Analysis, node: Node, value: Value, at: int, start: int, size: int, step: int = 1
) -> Value:  # fmt: skip
    """Some of the indices of an axis."""
    axis = value.axes[at]
    whole = extent(axis)
    troubles: list[Trouble] = []
    batch = False
    special = [i for i, atom in enumerate(axis) if atom.kind in (AtomKind.PLACE, AtomKind.IMAGE)]
    if size == whole and step == 1:
        return value
    if not special:
        kinds = {atom.kind for atom in axis}
        part = even(size) if kinds == {AtomKind.EVEN} else channel(size)
    else:
        tail = axis[special[0] :]
        rest = extent(tail)
        if special[0] and step == 1 and start % rest == 0 and size % rest == 0:
            part = (*channel(size // rest), *tail)
        elif len(axis) > 1:
            raise Inseparable
        elif axis[0].kind is AtomKind.IMAGE:
            batch = value.seen
            part = channel(size)
        elif step > 1:
            atom = axis[0]
            if start >= step or size < (whole - start) // step:
                raise Inseparable
            part = place(size, atom.frame, min(size, atom.cells))
            if size == 1:
                raise Inseparable
        else:
            part = _cropped(a, axis, start, whole - start - size, size, troubles)
    axes = (*value.axes[:at], part, *value.axes[at + 1 :])
    found = replace(value, axes=axes, total=value.total)
    if value.is_map and not found.is_map:
        troubles.append(a.trouble(f"{_name(node)} takes single positions out of a map"))
    if batch and not a.training:
        troubles.append(
            a.trouble(f"{_name(node)} takes some images of a batch for all", batch=True)
        )
    return _with(found, *troubles)


@_rule("slice narrow")
def _slice(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    value = _value(a, node.args[0])
    at = _index(value, given.get("dim", 0))
    whole = extent(value.axes[at])
    start = _number(a, given.get("start", 0)) or 0
    start = min(max(start + whole if start < 0 else start, 0), whole)
    return [_part(a, node, value, at, start, _shape(a, node)[at], given.get("step", 1))]


@_rule("select")
def _select(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    value = _value(a, node.args[0])
    at = _index(value, given["dim"])
    whole = extent(value.axes[at])
    index = _number(a, given["index"])
    found = _part(a, node, value, at, index % max(1, whole), 1)
    if has([found.axes[at]], AtomKind.PLACE):
        raise Inseparable
    return [replace(found, axes=found.axes[:at] + found.axes[at + 1 :])]


@_rule("split split_with_sizes chunk unbind tensor_split")
def _split(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    value = _value(a, node.args[0])
    at = _index(value, given.get("dim", 0))
    single = _name(node) == "unbind"
    found, start = [], 0
    for index, name in enumerate(node.outputs):
        if not name:  # nothing reads it; its size is that of its neighbors
            sizes = _sizes_of_split(given, node, value, at)
            start += sizes[index]
            continue
        size = 1 if single else _shape(a, node, index)[at]
        part = _part(a, node, value, at, start, size)
        if single:
            if has([part.axes[at]], AtomKind.PLACE):
                raise Inseparable
            part = replace(part, axes=part.axes[:at] + part.axes[at + 1 :])
        found.append((index, part))
        start += size
    parts_by_index = dict(found)
    return [parts_by_index.get(i, Value(axes=())) for i in range(len(node.outputs))]


def _sizes_of_split(given: dict[str, Any], node: Node, value: Value, at: int) -> list[int]:
    whole = extent(value.axes[at])
    count = len(node.outputs)
    sizes = given.get("split_size", given.get("split_sizes"))
    if _name(node) == "unbind":
        return [1] * count
    if isinstance(sizes, tuple) and all(isinstance(s, int) for s in sizes):
        return list(sizes)
    step = sizes if isinstance(sizes, int) else math.ceil(whole / count)
    return [min(step, max(0, whole - i * step)) for i in range(count)]


@_rule("index index_select gather take_along_dim")
def _index_rule(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    value = _value(a, node.args[0])
    if not any(v.seen for v in _values(a, node)):
        return _unknown(a, node, "")
    shape = _shape(a, node)
    name = _name(node)
    if name == "index":
        places = [(i, item) for i, item in enumerate(node.args[1]) if item is not None]
        if len(places) != 1:
            raise Inseparable
        at, index = places[0][0], _value(a, places[0][1])
    else:
        at, index = _index(value, given["dim"]), _value(a, given["index"])
    axis = value.axes[at]
    if name not in ("index", "index_select"):  # gather
        if value.is_map or index.is_map or has([axis], AtomKind.IMAGE):
            raise Inseparable
        found = _broadcast(a, node, [replace(index, axes=tuple(
            () if i == at else x for i, x in enumerate(index.axes)))], shape)  # fmt: skip
        axes = tuple(channel(shape[at]) if i == at else x for i, x in enumerate(found.axes))
        base = _common([value, index], name)
        return [_settled(replace(base, axes=axes))]
    if index.seen or len(index.axes) != 1 or has([axis], AtomKind.PLACE):
        raise Inseparable
    if has([axis], AtomKind.IMAGE):
        raise Inseparable
    axes = (*value.axes[:at], channel(shape[at]), *value.axes[at + 1 :])
    return [replace(value, axes=axes, number=None)]


@_rule("embedding")
def _embedding(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    weight, index = _value(a, given["weight"]), _value(a, given["indices"])
    if weight.seen:
        raise Inseparable
    base = replace(_common([weight, index], "embedding"), partial=index.partial)
    return [_settled(replace(base, axes=(*index.axes, *weight.axes[1:])))]


@_rule("glu")
def _glu(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    value = _value(a, node.args[0])
    at = _index(value, given.get("dim", -1))
    if has([value.axes[at]], AtomKind.PLACE) or has([value.axes[at]], AtomKind.IMAGE):
        raise Inseparable
    axes = tuple(channel(_shape(a, node)[at]) if i == at else x for i, x in enumerate(value.axes))
    return [replace(value, axes=axes, total=None, number=None)]


@_rule("sort argsort topk cumsum cumprod kthvalue msort cummax cummin logcumsumexp")
def _ordered(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    value = _value(a, node.args[0])
    name = _name(node)
    at = _index(value, given.get("dim", -1))
    axis = value.axes[at] if value.axes else ()
    if not value.seen:
        found = _unknown(a, node, "")
        axes = tuple(channel(extent(x)) if i == at else x for i, x in enumerate(value.axes))
        return [replace(v, axes=axes) if len(v.axes) == len(axes) else v for v in found]
    if has([axis], AtomKind.PLACE):
        if name == "topk" and given.get("k") == 1:
            first = _reduce(a, node, value, [at], "max", node.outputs[0], keep=True)
            tells = a.trouble("topk tells at which position", failed=True)
            return [first, _with(first, tells)]
        failed = name in ("sort", "argsort", "topk", "msort")
        text = (
            f"{name} keeps more than one number of each channel of a map"
            if failed
            else f"{name} runs along the positions of a map"
        )
        return _unknown(a, node, text, failed=failed)
    if has([axis], AtomKind.EVEN) and name.startswith("cum"):
        return _unknown(a, node, f"{name} makes different numbers out of repeats of one")
    found = []
    for index, output in enumerate(node.outputs):
        shape = _shape(a, node, index) if output else ()
        axes = tuple(channel(shape[i]) if i == at and axis else x for i, x in enumerate(value.axes))
        if not output or len(shape) != len(axes):
            axes = tuple(map(channel, shape))
        part = replace(value, axes=axes, total=None, number=None)
        found.append(_over_images(a, node, part, [axis]))
    return found


@_rule("_weight_norm _weight_norm_interface norm_except_dim")
def _weight_norm(a: Analysis, node: Node, given: dict[str, Any]) -> list[Value]:
    if any(v.seen for v in _values(a, node)):
        raise Inseparable
    return _unknown(a, node, "")


_SIZED = {*_VIEWS.split(), *_CREATED.split(), *_ELEMENTWISE.split(), "expand", "repeat"}
