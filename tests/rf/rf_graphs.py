"""Random small networks, and how the analytic fields differ from the gradient oracle's.

Run as a script, it does the large comparison once and writes its record:

    python tests/rf/rf_graphs.py 10000 docs/records/rf_property_10000.json
"""

from __future__ import annotations

import itertools
import json
import platform
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from eva import rf
from eva.rf.gradients import probe

Choose = Callable[[Sequence[Any]], Any]  # picks one: hypothesis' draw, or random.Random.choice
LARGEST = 26  # units along an axis up to which upsampling is allowed


class Apply(nn.Module):
    """A function as a layer, with a text that says what it does."""

    def __init__(self, text: str, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.text, self.function = text, function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)

    def extra_repr(self) -> str:
        return self.text


class Branches(nn.Module):
    """Two branches, cropped to their common size, joined."""

    def __init__(self, join: str, branches: Sequence[nn.Module]) -> None:
        super().__init__()
        self.join, self.branches = join, nn.ModuleList(branches)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outs = [b(x) for b in self.branches]
        sizes = [min(o.shape[d] for o in outs) for d in range(2, x.ndim)]
        for d, n in enumerate(sizes, start=2):
            outs = [o.narrow(d, (o.shape[d] - n) // 2, n) for o in outs]
        if self.join == "add":
            return outs[0] + outs[1]
        if self.join == "mul":
            return outs[0] * outs[1]
        if self.join == "max":
            return torch.maximum(*outs)
        both = torch.cat(outs, 1)
        if self.join == "cat":
            return both[:, ::2]
        half = both.shape[1] // 2
        return both[:, half // 2 : half // 2 + half]  # a slice across the seam

    def extra_repr(self) -> str:
        return self.join


@dataclass
class Sketch:
    """A network while it is drawn: layers so far, and the size of their output."""

    rank: int
    sizes: list[int]
    local: bool = False  # only pieces that work alike at any input size and far from borders
    layers: list[nn.Module] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, layer: nn.Module) -> None:
        """Append the layer if its output is neither empty nor large."""
        x = torch.ones(1, 2, *self.sizes)
        try:
            with torch.no_grad():
                shape = layer.eval()(x).shape
        except (RuntimeError, ValueError):
            return  # for example a kernel wider than what is left
        if shape[1] == 2 and min(shape[2:]) >= 1 and max(shape[2:]) <= LARGEST:
            self.layers.append(layer)
            self.sizes = list(shape[2:])
            self.kinds[kind] += 1


def conv(s: Sketch, pick: Choose) -> nn.Module:
    make = (nn.Conv1d, nn.Conv2d)[s.rank - 1]
    kernel = tuple(pick((1, 2, 3, 4)) for _ in range(s.rank))
    mode = pick(("zeros", "zeros", "reflect", "replicate", "circular"))
    stride, dilation = pick((1, 1, 2, 3)), pick((1, 1, 2, 3))
    if stride == 1 and pick((False, False, True)):
        return make(2, 2, kernel, padding="same", dilation=dilation, padding_mode=mode)
    return make(
        2, 2, kernel, stride=stride, padding=pick((0, 1, 2)), dilation=dilation,
        groups=pick((1, 2)), padding_mode=mode,
    )  # fmt: skip


def transposed(s: Sketch, pick: Choose) -> nn.Module:
    make = (nn.ConvTranspose1d, nn.ConvTranspose2d)[s.rank - 1]
    stride = pick((1, 2, 3))
    return make(
        2, 2, pick((1, 2, 3, 4)), stride=stride, padding=pick((0, 1)),
        output_padding=pick((0, 1)) if stride > 1 else 0, dilation=pick((1, 1, 2)),
        groups=pick((1, 2)),
    )  # fmt: skip


def pool(s: Sketch, pick: Choose) -> nn.Module:
    kernel = pick((2, 3, 4))
    options = {"stride": pick((None, 1, 2, 3)), "ceil_mode": pick((False, True))}
    kind = pick(("max", "avg", "lp", "adaptive", "adaptive max"))
    if kind == "lp":
        return (nn.LPPool1d, nn.LPPool2d)[s.rank - 1](2, kernel, **options)
    if kind == "adaptive":
        return (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)[s.rank - 1](pick((1, 2, 3, 5, 7)))
    if kind == "adaptive max":
        return (nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d)[s.rank - 1](pick((1, 2, 3, 5)))
    options["padding"] = pick((0, 1))
    if kind == "avg":
        return (nn.AvgPool1d, nn.AvgPool2d)[s.rank - 1](kernel, **options)
    return (nn.MaxPool1d, nn.MaxPool2d)[s.rank - 1](kernel, dilation=pick((1, 2)), **options)


def resize(s: Sketch, pick: Choose) -> nn.Module:
    mode = pick(("nearest", "nearest-exact", "linear", "cubic", "area"))
    if mode in ("linear", "cubic"):
        mode = "linear" if s.rank == 1 else "bi" + mode
    options: dict[str, Any] = {"mode": mode}
    if pick((True, False)):
        options["size"] = [max(1, n + pick((-3, -1, 0, 2, 3, 5, n))) for n in s.sizes]
    elif mode != "area":
        options["scale_factor"] = pick((0.5, 1.5, 2, 2, 3))
    else:
        options["size"] = [max(1, n // 2) for n in s.sizes]
    if "linear" in mode or "cubic" in mode:
        options["align_corners"] = pick((False, True))
        if s.rank == 2 and not options["align_corners"]:
            options["antialias"] = pick((False, True))
    return Apply(f"interpolate {options}", lambda x: F.interpolate(x, **options))


def move(s: Sketch, pick: Choose) -> nn.Module:
    """Slices, flips, rolls, asymmetric pads, shuffles."""
    d = pick(range(2, 2 + s.rank))
    n = s.sizes[d - 2]
    kind = pick(("slice", "flip", "roll", "pad", "crop", "halves", "shuffle", "space", "channels"))
    if kind == "slice":
        a, step = pick((0, 1, 2)), pick((1, 2, 3))
        return Apply(
            f"slice {d} {a} {step}", lambda x: x[(slice(None),) * d + (slice(a, None, step),)]
        )
    if kind == "flip":
        return Apply(f"flip {d}", lambda x: x.flip(d))
    if kind == "roll":
        by = pick((1, -2, 3))
        return Apply(f"roll {by} {d}", lambda x: torch.roll(x, by, d))
    if kind == "pad":
        pads = [pick((0, 1, 2, 3)) for _ in range(2 * s.rank)]
        mode = pick(("constant", "reflect", "replicate", "circular"))
        return Apply(f"pad {pads} {mode}", lambda x: F.pad(x, pads, mode))
    if kind == "crop":
        pads = [pick((0, -1, -2, 2)) for _ in range(2 * s.rank)]
        return Apply(f"crop {pads}", lambda x: F.pad(x, pads))
    if kind == "halves":
        return Apply(
            f"swap halves {d}",
            lambda x: torch.cat([x.narrow(d, n // 2, n - n // 2), x.narrow(d, 0, n // 2)], d),
        )
    if kind == "shuffle" and s.rank == 2:
        return Apply("pixel shuffle", lambda x: F.pixel_shuffle(x.repeat(1, 4, 1, 1), 2))
    if kind == "space" and s.rank == 2:
        return Apply("pixel unshuffle", lambda x: F.pixel_unshuffle(x, 2)[:, 1:6:3])
    return Apply("swap channels", lambda x: torch.stack([x[:, 1], x[:, 0]], 1))


def point(s: Sketch, pick: Choose) -> nn.Module:
    kind = pick(("relu", "norm", "dropout", "mean", "excite", "softmax", "write"))
    if kind == "relu":
        return nn.ReLU()
    if kind == "norm":
        return (nn.BatchNorm1d, nn.BatchNorm2d)[s.rank - 1](2)
    if kind == "dropout":
        return nn.Dropout(0.5)
    dims = pick(((2,), tuple(range(2, 2 + s.rank))))
    if kind == "mean":
        return Apply(f"center {dims}", lambda x: x - x.mean(dims, keepdim=True))
    if kind == "excite":
        return Apply("excite", lambda x: x * torch.sigmoid(x.mean(dims, keepdim=True)))
    if kind == "softmax":
        return Apply("softmax", lambda x: x.softmax(2))

    def write(x: torch.Tensor) -> torch.Tensor:
        out = torch.zeros_like(x)
        out[:, :, ::2] = x[:, :, ::2]
        out[:, :1, 1::2] += x[:, 1:, 1::2]
        return out

    return Apply("write", write)


def window(s: Sketch, pick: Choose) -> nn.Module:
    make = pick((nn.MaxPool1d, nn.AvgPool1d))
    return make(pick((2, 3)), stride=pick((1, 2)), ceil_mode=pick((False, True)))


PIECES = {
    "window": window,
    "conv": conv,
    "transposed": transposed,
    "pool": pool,
    "resize": resize,
    "move": move,
    "point": point,
}
WEIGHTED = ("conv", "conv", "conv", "pool", "pool", "transposed", "resize", "move", "point")
LOCAL = ("conv", "conv", "transposed", "window")


def draw_layers(s: Sketch, pick: Choose, count: int, depth: int) -> None:
    """Append up to ``count`` pieces; branches hold shorter sequences."""
    for _ in range(count):
        kinds = LOCAL if s.local else WEIGHTED
        kind = pick((*kinds, "branch", "branch") if depth else kinds)
        if kind != "branch":
            s.add(kind, PIECES[kind](s, pick))
            continue
        inner = [Sketch(rank=s.rank, sizes=list(s.sizes), local=s.local) for _ in range(2)]
        for i, part in enumerate(inner):
            draw_layers(part, pick, pick((1, 2) if i else (0, 1, 2)), depth - 1)
        join = pick(("add", "cat", "seam", "mul", "max"))
        s.add(f"branch {join}", Branches(join, [nn.Sequential(*p.layers) for p in inner]))
        for part in inner:
            s.kinds.update(part.kinds)


def draw_network(pick: Choose) -> tuple[nn.Sequential, tuple[int, ...], Counter[str]]:
    """A random network, the size of its input, and how often each kind of piece occurs."""
    rank = pick((1, 2))
    sizes = (
        [pick(range(8, 21)) for _ in range(rank)]
        if rank == 1
        else [pick(range(5, 11)) for _ in "hw"]
    )
    s = Sketch(rank=rank, sizes=sizes)
    draw_layers(s, pick, pick((2, 3, 4, 5)), depth=2)
    return nn.Sequential(*s.layers), (2, *sizes), s.kinds


@dataclass
class Comparison:
    """What a comparison of one network found."""

    units: int
    differences: list[str]
    status: str


def compare(model: nn.Module, size: tuple[int, ...]) -> Comparison:
    """Every unit's interval, from the trace and from gradients.

    A field that claims to be exact must agree; one that claims to be a bound must contain.
    """
    found = rf.receptive_field(model, size)
    counts = found.output_shape[2:]
    units = list(itertools.product(*(range(n) for n in counts)))
    masks = probe.fields(model, size, units=units)
    differences = []
    exact = found.status in (rf.FieldStatus.EXACT, rf.FieldStatus.WHOLE_INPUT)
    for unit, mask in zip(units, masks, strict=True):
        claimed = [None if s.start == s.stop else (s.start, s.stop - 1) for s in found.region(unit)]
        if None in claimed:
            claimed = [None] * len(claimed)  # seen is a product: nothing along one axis is nothing
        measured = list(probe.hulls(mask))
        if claimed != measured if exact else not contains(claimed, measured):
            differences.append(f"unit {unit}: traced {claimed}, measured {measured}")
    return Comparison(units=len(units), differences=differences, status=str(found.status))


def contains(outer: Sequence[Any], inner: Sequence[Any]) -> bool:
    return all(
        i is None or (o is not None and o[0] <= i[0] and i[1] <= o[1])
        for o, i in zip(outer, inner, strict=True)
    )


def main(count: int, target: Path) -> None:
    """Compare ``count`` networks and write the record."""
    torch.set_num_threads(1)
    began = time.perf_counter()
    kinds: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    units, different = 0, []
    for seed in range(count):
        model, size, drawn = draw_network(random.Random(seed).choice)
        result = compare(model, size)
        kinds.update(drawn)
        statuses[result.status] += 1
        units += result.units
        if result.differences:
            different.append(seed)
            sys.stderr.write(f"seed {seed} {size}\n{model}\n{result.differences[:2]}\n")
    record = {
        "what": "analytic receptive fields against the gradient oracle, every unit of the output",
        "command": f"python tests/rf/rf_graphs.py {count} docs/records/{target.name}",
        "graphs": count,
        "seeds": [0, count - 1],
        "units_compared": units,
        "graphs_that_differ": different,
        "statuses": dict(statuses.most_common()),
        "pieces": dict(kinds.most_common()),
        "seconds": round(time.perf_counter() - began),
        "device": "cpu, 1 thread",
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "date": date.today().isoformat(),
    }
    target.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
