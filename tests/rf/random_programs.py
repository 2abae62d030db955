"""Random programs of tensor operations, and how the traced fields differ from two oracles.

A program reshapes, permutes, cuts into windows, rolls, stacks, joins several inputs, multiplies
matrices, attends and resamples. What each unit of its output sees is asked of

1. gradients in double precision: an entry of the input is seen where the gradient is not zero;
2. poison: one entry of the input is NaN; the units that become NaN see it.

Run as a script, it does the large comparison once and writes its record:

    python tests/rf/random_programs.py 10000 docs/records/rf_programs.json
"""

from __future__ import annotations

import itertools
import json
import math
import platform
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from eva import rf

Function = Callable[["Program", Tensor, list[Tensor]], Tensor]
SCRIPT = "tests/rf/random_programs.py"
LARGEST = 400  # elements of a tensor for one image


class Program(nn.Module):
    """Steps that turn the first input into an output; ``kept`` holds the inputs and what is saved.

    Args:
        sizes: Of the inputs, without batch.
    """

    def __init__(self, sizes: Sequence[tuple[int, ...]]) -> None:
        super().__init__()
        self.sizes = list(sizes)
        self.layers = nn.ModuleList()
        self.steps: list[tuple[str, Function]] = []

    def forward(self, *inputs: Tensor) -> Tensor:
        kept = list(inputs)
        x = kept[0]
        for _, function in self.steps:
            x = function(self, x, kept)
        return x

    def __str__(self) -> str:
        return f"{self.sizes}: " + "; ".join(text for text, _ in self.steps)


@dataclass
class Writer:
    """A program while it is written.

    Args:
        pick: Chooses one of several.
        program: So far.
        kept: The tensors that a step may join, at this point.
        x: The current tensor.
    """

    pick: Callable[[Sequence[Any]], Any]
    program: Program
    x: Tensor
    kept: list[Tensor]
    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, text: str, function: Function) -> bool:
        """Append a step if its result is neither empty nor large, and of one image."""
        kept = list(self.kept)
        try:
            with torch.no_grad():
                x = function(self.program, self.x, kept)
        except (RuntimeError, ValueError, IndexError, TypeError):
            return False
        fits = 0 < x.numel() <= LARGEST and 2 <= x.ndim <= 7 and x.shape[0] == self.x.shape[0]
        if not fits or not bool(torch.isfinite(x).all()) or float(x.abs().max()) > 1e6:
            return False
        self.x, self.kept = x, kept
        self.program.steps.append((text, function))
        self.kinds[kind] += 1
        return True


def factored(n: int, pick: Any) -> list[int]:
    """A number as a product of one to three numbers."""
    parts = [n]
    for _ in range(pick((0, 1, 1, 2))):
        i = pick(range(len(parts)))
        divisors = [d for d in range(2, parts[i]) if parts[i] % d == 0]
        if divisors:
            d = pick(divisors)
            parts[i : i + 1] = [d, parts[i] // d]
    return parts


def reshape(w: Writer) -> None:
    """Dimensions split and joined."""
    pick, shape = w.pick, list(w.x.shape[1:])
    kind = pick(("split", "join", "any", "squeeze"))
    if kind == "split":
        i = pick(range(len(shape)))
        shape[i : i + 1] = factored(shape[i], pick)
    elif kind == "join" and len(shape) > 1:
        i = pick(range(len(shape) - 1))
        j = pick(range(i + 1, len(shape)))
        shape[i : j + 1] = [math.prod(shape[i : j + 1])]
    elif kind == "any":
        shape = factored(math.prod(shape), pick)
    else:
        shape = [n for n in shape if n > 1] or [1]
        if pick((True, False)):
            shape.insert(pick(range(len(shape) + 1)), 1)
    new = tuple(shape)
    w.add("reshape", f"reshape {new}", lambda p, x, k: x.reshape(x.shape[0], *new))


def permute(w: Writer) -> None:
    """Dimensions after the batch in another order."""
    order = list(range(1, w.x.ndim))
    for i in range(len(order) - 1):
        j = w.pick(range(i, len(order)))
        order[i], order[j] = order[j], order[i]
    w.add("permute", f"permute {order}", lambda p, x, k: x.permute(0, *order))


def windows(w: Writer) -> None:
    """Cut into windows, mixed inside each, and put back."""
    if w.x.ndim != 4:
        return
    c, h, b = w.x.shape[1:]
    s = w.pick([s for s in (1, 2, 3, 4) if h % s == 0])
    t = w.pick([t for t in (1, 2, 3, 4) if b % t == 0])
    moved = w.pick((0, 1))
    mix = w.pick(("softmax", "mean", "matmul", "attention"))

    def run(p: Program, x: Tensor, k: list[Tensor]) -> Tensor:
        n = x.shape[0]
        x = torch.roll(x, (-moved, -moved), (2, 3)) if moved else x
        parts = x.view(n, c, h // s, s, b // t, t).permute(0, 2, 4, 3, 5, 1).reshape(-1, s * t, c)
        if mix == "softmax":
            parts = parts.softmax(1)
        elif mix == "mean":
            parts = parts + parts.mean(1, keepdim=True)
        elif mix == "matmul":
            parts = (parts @ parts.transpose(1, 2)) @ parts
        else:
            parts = F.scaled_dot_product_attention(parts, parts, parts)
        x = parts.view(n, h // s, b // t, s, t, c).permute(0, 5, 1, 3, 2, 4).reshape(n, c, h, b)
        return torch.roll(x, (moved, moved), (2, 3)) if moved else x

    w.add("windows", f"windows {s}x{t} {mix} rolled by {moved}", run)


def move(w: Writer) -> None:
    """Rolls, flips, slices, pads, repeats, indices."""
    pick = w.pick
    d = pick(range(1, w.x.ndim))
    n = w.x.shape[d]
    kind = pick(("roll", "flip", "slice", "pad", "repeat", "interleave", "index", "narrow",
                 "expand", "select", "rot90", "unbind", "masked", "fancy", "tril"))  # fmt: skip
    a, b = pick((1, 2, 3)), pick((1, 2))
    text = f"{kind} {d} {a} {b}"
    places = torch.tensor([pick(range(n)) for _ in range(pick((2, 3, n)))])
    e = pick(range(1, w.x.ndim))
    turned = places.flip(0) % w.x.shape[e]
    covered = torch.arange(n) % 3 == a - 1
    runs: dict[str, Callable[[Tensor], Tensor]] = {
        "roll": lambda x: torch.roll(x, a, d),
        "flip": lambda x: x.flip(d),
        "slice": lambda x: x[(slice(None),) * d + (slice(a - 1, None, b),)],
        "pad": lambda x: F.pad(x, [0, 0] * (x.ndim - 1 - d) + [a, b]),
        "repeat": lambda x: x.repeat(*[a if i == d else 1 for i in range(x.ndim)]),
        "interleave": lambda x: x.repeat_interleave(2, d),
        "index": lambda x: x.index_select(d, places.to(x.device)),
        "narrow": lambda x: x.narrow(d, min(a, n - 1), 1),
        "expand": lambda x: x.unsqueeze(d).expand(*x.shape[:d], a, *x.shape[d:]),
        "select": lambda x: x.select(d, -1),
        "rot90": lambda x: torch.rot90(x, a, (d, e)),
        "unbind": lambda x: x.unbind(d)[0] + x.unbind(d)[-1],
        "masked": lambda x: x.movedim(d, -1).masked_fill(covered, 0.0),
        "fancy": lambda x: x.movedim((d, e), (1, 2))[:, places, turned],
        "tril": lambda x: x.tril(a - 2),
    }
    if kind in ("masked", "tril") and w.x.ndim < 3:
        return
    if kind == "fancy" and d == e:
        return
    if kind in ("index", "fancy"):
        text += f" {places.tolist()}"
    w.add(kind, text, lambda p, x, k: runs[kind](x))


def stack(w: Writer) -> None:
    """Chunks stacked, or put together in another order; pieces that overlap."""
    pick = w.pick
    d = pick(range(1, w.x.ndim))
    e = pick(range(1, w.x.ndim + 1))
    n = pick((2, 3))
    kind = pick(("stack", "cat", "unfold", "write", "split", "halves"))
    a, b = pick((1, 2, 3)), pick((1, 2))
    text = f"{kind} {d} {e} {n} {a} {b}"

    def write(x: Tensor) -> Tensor:
        out = x.clone()
        there = (slice(None),) * d + (slice(0, None, 2),)
        out[there] = out[there] + x.flip(d)[there]
        return out

    def split(x: Tensor) -> Tensor:
        first, rest = x.split([1, x.shape[d] - 1], d)
        return rest + first

    runs: dict[str, Callable[[Tensor], Tensor]] = {
        "stack": lambda x: torch.stack(x.chunk(n, d), e),
        "cat": lambda x: torch.cat(x.chunk(n, d)[::-1], min(e, x.ndim - 1)),
        "unfold": lambda x: x.unfold(d, a, b),
        "write": write,
        "split": split,
        "halves": lambda x: x.chunk(2, d)[0] * torch.sigmoid(x.chunk(2, d)[1]),
    }
    w.add(kind, text, lambda p, x, k: runs[kind](x))


def mix(w: Writer) -> None:
    """Reductions, softmax, norms, running sums."""
    pick = w.pick
    d = pick(range(1, w.x.ndim))
    kind = pick(("softmax", "center", "mean", "amax", "layer norm", "cumsum", "linear", "std",
                 "instance", "group norm", "two", "norm", "diff"))  # fmt: skip
    e = pick(range(1, w.x.ndim))
    c = w.x.shape[-1]
    if kind == "linear":
        layer: nn.Module = nn.Linear(c, pick((1, 2, 3)), bias=False)
        w.program.layers.append(layer)
        w.add("linear", "linear", lambda p, x, k: layer(x))
        return
    runs: dict[str, Callable[[Tensor], Tensor]] = {
        "softmax": lambda x: x.softmax(d),
        "center": lambda x: x - 0.3 * x.mean(d, keepdim=True),
        "mean": lambda x: x.mean(d),
        "amax": lambda x: x.logsumexp(d),
        "layer norm": lambda x: F.layer_norm(x, x.shape[d:], eps=0.1),
        "cumsum": lambda x: x.cumsum(d),
        "std": lambda x: x / (1 + x.square().sum(d, keepdim=True)),
        "instance": lambda x: F.instance_norm(x, eps=0.1),
        "group norm": lambda x: F.group_norm(x, 1, eps=0.1),
        "two": lambda x: x * x.mean((d, e), keepdim=True),
        "norm": lambda x: F.normalize(x, dim=d, eps=0.1),
        "diff": lambda x: torch.diff(x, dim=d),
    }
    if kind in ("layer norm", "instance", "group norm", "softmax") and (
        math.prod(w.x.shape[d:]) < 3 or w.x.shape[d] < 2
    ):
        return  # of one or two numbers, a norm keeps nothing or only signs
    w.add(kind, f"{kind} {d} {e}", lambda p, x, k: runs[kind](x))


def product(w: Writer) -> None:
    """Matrix products and attention."""
    pick = w.pick
    kind = pick(("gram", "outer", "weighted", "attention", "einsum", "weight", "bilinear"))
    if w.x.ndim < 3:
        return
    if kind == "weight":
        weight = nn.Parameter(torch.rand(w.x.shape[-2], w.x.shape[-2]) + 0.1)
        w.program.layers.append(nn.ParameterList([weight]))
        w.add("matmul", "weight @ x", lambda p, x, k: weight @ x)
        return
    d = pick(range(1, w.x.ndim - 1))
    runs: dict[str, Callable[[Tensor], Tensor]] = {
        "gram": lambda x: x @ x.transpose(-1, -2),
        "outer": lambda x: x.unsqueeze(-1) * x.unsqueeze(-2),
        "weighted": lambda x: x.transpose(-1, -2).softmax(-1) @ x,
        "attention": lambda x: F.scaled_dot_product_attention(x, x, x),
        "einsum": lambda x: torch.einsum("b...ij,b...kj->b...ik", x, x.flip(-1)),
        "bilinear": lambda x: (
            x.movedim(d, -1) @ x.movedim(d, -2) if x.shape[-1] == x.shape[-2] else x.movedim(d, -1)
        ),
    }
    w.add(kind, f"{kind} {d}", lambda p, x, k: 0.1 * runs[kind](x))


def window(w: Writer) -> None:
    """Convolution, pooling and resampling."""
    pick = w.pick
    rank = w.x.ndim - 2
    if rank not in (1, 2):
        return
    kind = pick(("conv", "conv", "depthwise", "avg", "max", "resize", "transposed", "shuffle",
                 "im2col"))  # fmt: skip
    c = w.x.shape[1]
    kernel, stride, padding = pick((1, 2, 3)), pick((1, 1, 2)), pick((0, 1))
    if kind in ("conv", "depthwise", "transposed"):
        groups = c if kind == "depthwise" else 1
        out = c if kind == "depthwise" else pick((1, 2, 4))
        make: Any = (nn.Conv1d, nn.Conv2d)[rank - 1]
        if kind == "transposed":
            make = (nn.ConvTranspose1d, nn.ConvTranspose2d)[rank - 1]
        layer = make(c, out, kernel, stride, padding, groups=groups, bias=False)
        w.program.layers.append(layer)
        w.add(kind, f"{kind} {kernel} {stride} {padding} {out}", lambda p, x, k: layer(x))
        return
    mode = pick(("nearest", ("linear", "bilinear")[rank - 1]))
    factor = pick((2, 0.5, 1.5))
    average: Any = (F.avg_pool1d, F.avg_pool2d)[rank - 1]
    largest: Any = (F.max_pool1d, F.max_pool2d)[rank - 1]
    runs: dict[str, Callable[[Tensor], Tensor]] = {
        "avg": lambda x: average(x, kernel, stride),
        "max": lambda x: largest(x, kernel, stride),
        "resize": lambda x: F.interpolate(x, scale_factor=factor, mode=mode),
        "shuffle": lambda x: F.pixel_shuffle(x, 2),
        "im2col": lambda x: F.unfold(x, 2, stride=stride),
    }
    w.add(kind, f"{kind} {kernel} {stride} {mode} {factor}", lambda p, x, k: runs[kind](x))


def join(w: Writer) -> None:
    """Another input, or a tensor from before, joined."""
    pick = w.pick
    i = pick(range(len(w.kept)))
    other = w.kept[i]
    kind = pick(("cat", "add", "mul", "flat", "matmul", "gate", "token", "attend"))
    d = pick(range(1, w.x.ndim))
    if kind == "flat":
        w.add("join flat", f"flat cat {i}",
              lambda p, x, k: torch.cat([x.flatten(1), k[i].flatten(1)], 1))  # fmt: skip
    elif kind == "cat" and other.ndim == w.x.ndim:
        w.add("join cat", f"cat {i} {d}", lambda p, x, k: torch.cat([x, k[i]], d))
    elif kind in ("add", "mul"):
        w.add(f"join {kind}", f"{kind} {i}",
              lambda p, x, k: x + k[i] if kind == "add" else x * torch.sigmoid(k[i]))  # fmt: skip
    elif kind == "matmul":
        w.add("join matmul", f"matmul {i}", lambda p, x, k: 0.1 * (x @ k[i]))
    elif kind == "gate":

        def gate(p: Program, x: Tensor, k: list[Tensor]) -> Tensor:
            return (x.flatten(1) * k[i].flatten(1).mean(1, True)).reshape(x.shape)

        w.add("join gate", f"gate {i}", gate)
    elif kind == "attend" and other.ndim == w.x.ndim:
        w.add("join attend", f"attend {i}",
              lambda p, x, k: F.scaled_dot_product_attention(x, k[i], k[i]))  # fmt: skip
    elif kind == "token":
        token = nn.Parameter(
            torch.rand(1, *[1 if e == d else n for e, n in enumerate(w.x.shape)][1:])
        )
        w.program.layers.append(nn.ParameterList([token]))

        def prepend(p: Program, x: Tensor, k: list[Tensor]) -> Tensor:
            return torch.cat([token.expand(len(x), *token.shape[1:]), x], d)

        w.add("token", f"token {d}", prepend)


def keep(w: Writer) -> None:
    """The current tensor kept for a later join."""
    w.add("keep", "keep", lambda p, x, k: (k.append(x), x)[1])


def switch(w: Writer) -> None:
    """Go on with another tensor, the current one kept."""
    i = w.pick(range(len(w.kept)))

    def run(p: Program, x: Tensor, k: list[Tensor]) -> Tensor:
        other = k[i]
        k.append(x)
        return other

    w.add("switch", f"switch {i}", run)


PIECES: tuple[Callable[[Writer], None], ...] = (
    reshape, reshape, permute, permute, windows, windows, move, move, stack, stack, mix, product,
    window, window, join, join, keep, switch,
)  # fmt: skip


def write_program(pick: Callable[[Sequence[Any]], Any]) -> tuple[Program, Counter[str]]:
    """A random program of three to ten steps, and how often each kind of step occurs."""
    count = pick((1, 1, 2))
    sizes = []
    for _ in range(count):
        rank = pick((1, 2, 3, 3, 3))
        sizes.append(tuple(pick((1, 2, 3, 4, 4, 6, 8) if i == rank - 1 or i else (1, 2, 3, 4))
                           for i in range(rank)))  # fmt: skip
    program = Program(sizes).eval()
    inputs = [torch.rand(1, *s) for s in sizes]
    w = Writer(pick=pick, program=program, x=inputs[0], kept=inputs)
    goal = pick(range(3, 11))
    for _ in range(40):
        if len(program.steps) >= goal:
            break
        pick(PIECES)(w)
    return program, w.kinds


def by_gradients(program: Program, units: Sequence[Sequence[int]]) -> Iterator[list[Tensor]]:
    """For each unit (elements that belong to it), where each input has a gradient."""
    twin = program.double()
    inputs = [
        torch.rand(1, *s, dtype=torch.float64).add(0.2).requires_grad_() for s in program.sizes
    ]
    out = twin(*inputs).reshape(-1)
    for elements in units:
        chosen = out[list(elements)]
        total = (chosen * torch.rand(chosen.shape, dtype=torch.float64).add(0.5)).sum()
        if not total.requires_grad:
            yield [torch.zeros(s, dtype=torch.bool) for s in program.sizes]
            continue
        found = torch.autograd.grad(total, inputs, retain_graph=True, allow_unused=True)
        yield [
            torch.zeros(s, dtype=torch.bool) if g is None else g[0].abs() > 1e-13
            for g, s in zip(found, program.sizes, strict=True)
        ]


def poisoned_together(
    program: Program, clean: Sequence[Tensor], places: Sequence[tuple[int, tuple[int, ...]]]
) -> list[Tensor] | None:
    """Where the outputs are NaN if each image has another entry poisoned.

    ``None`` if so many images can't be run: a program may add a batch to a dimension of size 2.
    """
    inputs = [c.repeat(len(places), *[1] * (c.ndim - 1)) for c in clean]
    for row, (number, place) in enumerate(places):
        inputs[number][(row, *place)] = torch.nan
    try:
        return list(program(*inputs).isnan().flatten(1))
    except RuntimeError:
        return None


def by_poison(
    program: Program, units: Sequence[Sequence[int]], together: bool
) -> list[list[Tensor]]:
    """For each unit, which entries of the inputs make it NaN when they are NaN.

    Args:
        program: That runs.
        units: Elements of the output that belong to each.
        together: Images of a batch stay apart, so that one pass can poison an entry in each image.
    """
    seen = [[torch.zeros(s, dtype=torch.bool) for s in program.sizes] for _ in units]
    places = [
        (number, place)
        for number, size in enumerate(program.sizes)
        for place in itertools.product(*map(range, size))
    ]
    clean = [torch.rand(1, *s, dtype=torch.float64) for s in program.sizes]
    # Fused attention swallows NaN where a maximum is taken; the plain one does not.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        rows = poisoned_together(program, clean, places) if together else None
        if rows is None:
            rows = []
            for number, place in places:
                inputs = [c.clone() for c in clean]
                inputs[number][(0, *place)] = torch.nan
                rows.append(program(*inputs).isnan().flatten())
    for (number, place), poisoned in zip(places, rows, strict=True):
        for unit, elements in enumerate(units):
            seen[unit][number][place] |= bool(poisoned[list(elements)].any())
    return seen


@dataclass
class Comparison:
    """What a comparison of one program found."""

    units: int
    differences: list[str]
    status: str


def images_meet(program: Program) -> bool | None:
    """Whether one of two images sees the other; ``None`` if two can't be run."""
    program.double()
    clean = [torch.rand(2, *s, dtype=torch.float64).add(0.2) for s in program.sizes]
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        for poisoned in (0, 1):
            inputs = [x.clone() for x in clean]
            for x in inputs:
                x[poisoned] = torch.nan
            try:
                out = program(*inputs)
            except (RuntimeError, ValueError, IndexError):
                return None
            if bool(out[1 - poisoned].isnan().any()):
                return True
    return False


def hull(mask: Tensor, axis: int) -> slice:
    """From the first to the last position along an axis at which anything is seen."""
    others = [d for d in range(mask.ndim) if d != axis]
    line = mask.any(dim=others) if others else mask
    seen = line.nonzero().flatten().tolist()
    return slice(seen[0], seen[-1] + 1) if seen else slice(0, 0)


def within(inner: slice, outer: slice) -> bool:
    """Whether every position of one slice is in another."""
    return inner.start == inner.stop or (outer.start <= inner.start and inner.stop <= outer.stop)


def compare(program: Program, pick: Callable[[Sequence[Any]], Any], most: int = 8) -> Comparison:
    """Units of the output, from the trace, from gradients and from poison.

    A field that claims to be exact must hold all that has a gradient, and nothing that poison
    does not reach: where both agree, it must be what they find. (They differ where a number is
    multiplied by a zero.) Any other field must hold both.
    """
    found = rf.trace(program, program.sizes).field()
    exact = found.status in (rf.FieldStatus.EXACT, rf.FieldStatus.WHOLE_INPUT)
    met = images_meet(program)
    if met is not None and (met and not found.batch_coupled):
        return Comparison(units=1, differences=["images of a batch meet"], status="coupled")
    if found.batch_coupled:
        missing = ["images of a batch do not meet"] if exact and met is False else []
        return Comparison(units=1, differences=missing, status="coupled")
    shape, dims = found.output_shape, found.unit_dims
    every = list(itertools.product(*(range(shape[d]) for d in dims)))
    chosen = every if len(every) <= most else [pick(every) for _ in range(most)]
    numbers = torch.arange(math.prod(shape)).reshape(shape)
    units = []
    for unit in chosen:
        part = numbers
        for d, i in zip(dims, unit, strict=True):
            part = part.narrow(d, i, 1)
        units.append(part.flatten().tolist())
    differences: list[str] = []
    program.double()
    poisoned = by_poison(program, units, together=met is False)
    measured = zip(by_gradients(program, units), poisoned, strict=True)
    for unit, (least, most_seen) in zip(chosen, measured, strict=True):
        for axis, claim in zip(found.axes, found.region(unit), strict=True):
            number, d = int(axis.input), axis.axis - 1
            low, high = hull(least[number], d), hull(most_seen[number], d)
            wrong = not within(low, claim) or (exact and not within(claim, high))
            if wrong or (not exact and not within(high, claim)):
                differences.append(
                    f"{found.status}: unit {unit} of {shape} sees of input {number} axis {d + 1} "
                    f"{claim.start}-{claim.stop - 1} (traced), {low.start}-{low.stop - 1} "
                    f"(gradients), {high.start}-{high.stop - 1} (poison)"
                )
    return Comparison(units=len(units), differences=differences, status=str(found.status))


def record(first: int, count: int, save: Callable[[dict[str, Any]], None]) -> None:
    """Compare the programs of ``count`` seeds; what is known is saved after every 250."""
    torch.set_num_threads(1)
    began = time.process_time()
    kinds: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    units, different = 0, []
    for done, seed in enumerate(range(first, first + count), start=1):
        torch.manual_seed(seed)
        pick = random.Random(seed).choice
        program, drawn = write_program(pick)
        try:
            result = compare(program, pick)
        except Exception as error:
            failed = f"{type(error).__name__}: {error}"
            result = Comparison(units=0, differences=[failed], status="failed")
        kinds.update(drawn)
        statuses[result.status] += 1
        units += result.units
        if result.differences:
            different.append(seed)
            sys.stderr.write(f"seed {seed} {program}\n   {result.differences[:2]}\n")
        if done % 250 and done < count:
            continue
        save(
            {
                "what": "traced receptive fields of random programs against gradients and NaN",
                "command": f"python {SCRIPT} {done} docs/records/rf_programs.json {first}",
                "programs": done,
                "seeds": [first, seed],
                "units_compared": units,
                "programs_that_differ": different,
                "statuses": dict(statuses.most_common()),
                "steps": dict(kinds.most_common()),
                "seconds": round(time.process_time() - began),
                "device": "cpu, 1 thread",
                "versions": {"python": platform.python_version(), "torch": torch.__version__},
                "date": date.today().isoformat(),
            }
        )


if __name__ == "__main__":
    start = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    target = Path(sys.argv[2])

    def write(found: dict[str, Any]) -> None:
        target.write_text(json.dumps(found, indent=1) + "\n")

    record(start, int(sys.argv[1]), write)
