"""Random graphs of honest blocks, with one way round the mean planted or not.

What was planted is known by construction, and the proof must find it. Run as a program, it does so
for many seeds and writes a record:

    python tests/grading/checks/pooling_graphs.py 10000 docs/records/pooling_property_10000.json
"""

from __future__ import annotations

import json
import os
import platform
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import torch

from eva.grading.checks.pooling_proof import prove_pooling
from eva.grading.graph.graph import Graph
from eva.grading.graph.nodes import Device, Node, Program, Ref, Role, Stored

SIZE = (1, 28, 28)


@dataclass
class Map:
    """A map of the network that is being built."""

    ref: Ref
    channels: int
    size: int


@dataclass
class Builder:
    """Writes the nodes of a network; ``aten`` names are left out of operations."""

    random: random.Random
    nodes: list[Node] = field(default_factory=list)
    stored: list[Stored] = field(default_factory=list)
    used: list[str] = field(default_factory=list)

    def op(self, name: str, *args: Any, **kwargs: Any) -> Ref:
        output = f"%{len(self.nodes)}"
        self.nodes.append(Node(op=f"aten.{name}", args=args, kwargs=kwargs, outputs=(output,)))
        return Ref(output)

    def parts(self, count: int, name: str, *args: Any) -> list[Ref]:
        outputs = tuple(f"%{len(self.nodes)}.{i}" for i in range(count))
        self.nodes.append(
            Node(op=f"aten.{name}", args=args, kwargs={}, outputs=outputs, many=count > 1)
        )
        return [Ref(output) for output in outputs]

    def keep(self, data: torch.Tensor, role: Role = Role.PARAMETER) -> Ref:
        name = f"w{len(self.stored)}"
        self.stored.append(
            Stored(name=name, role=role, data=data, trainable=role is Role.PARAMETER)
        )
        return Ref(name)

    def weight(self, *shape: int) -> Ref:
        return self.keep(torch.randn(shape) * 0.1)

    def constant(self, data: torch.Tensor) -> Ref:
        return self.keep(data, Role.CONSTANT)

    def conv(self, ref: Ref, given: int, wanted: int, kernel: int, **more: Any) -> Ref:
        padding = more.get("padding", 0)
        stride, groups = more.get("stride", 1), more.get("groups", 1)
        return self.op(
            "conv2d.default", ref, self.weight(wanted, given // groups, kernel, kernel),
            self.weight(wanted), (stride, stride), (padding, padding), (1, 1), groups,
        )  # fmt: skip


# Honest blocks: a map to a map


def plain(b: Builder, m: Map) -> Map:
    wanted = b.random.choice([8, 12, 16])
    kernel = b.random.choice([1, 3, 3, 5]) if m.size > 5 else 1
    padding = kernel // 2 if m.size < 12 else b.random.choice([0, kernel // 2])
    ref = b.conv(m.ref, m.channels, wanted, kernel, padding=padding)
    ref = b.op(b.random.choice(["relu.default", "gelu.default", "silu.default"]), ref)
    return Map(ref, wanted, m.size + 2 * padding - kernel + 1)


def norm(b: Builder, m: Map) -> Map:
    w, bias = b.weight(m.channels), b.weight(m.channels)
    mean = b.keep(torch.zeros(m.channels), Role.BUFFER)
    var = b.keep(torch.ones(m.channels), Role.BUFFER)
    args = (m.ref, w, bias, mean, var, False, 0.1, 1e-5, True)
    return Map(b.op("batch_norm.default", *args), m.channels, m.size)


def groups(b: Builder, m: Map) -> Map:
    w, bias = b.weight(m.channels), b.weight(m.channels)
    return Map(b.op("group_norm.default", m.ref, 4, w, bias, 1e-5), m.channels, m.size)


def channels_last_norm(b: Builder, m: Map) -> Map:
    ref = b.op("permute.default", m.ref, (0, 2, 3, 1))
    ref = b.op("layer_norm.default", ref, (m.channels,), b.weight(m.channels), None, 1e-5)
    return Map(b.op("permute.default", ref, (0, 3, 1, 2)), m.channels, m.size)


def halve(b: Builder, m: Map) -> Map:
    if m.size < 8:
        return m
    name = b.random.choice(["max_pool2d.default", "avg_pool2d.default"])
    return Map(b.op(name, m.ref, (2, 2), (2, 2)), m.channels, m.size // 2)


def strided(b: Builder, m: Map) -> Map:
    if m.size < 9:
        return m
    ref = b.conv(m.ref, m.channels, 12, 3, stride=2, padding=1)
    return Map(ref, 12, (m.size + 1) // 2)


def depthwise(b: Builder, m: Map) -> Map:
    ref = b.conv(m.ref, m.channels, m.channels, 3, padding=1, groups=m.channels)
    return Map(b.conv(ref, m.channels, 16, 1), 16, m.size)


def residual(b: Builder, m: Map) -> Map:
    ref = b.op("relu.default", b.conv(m.ref, m.channels, m.channels, 3, padding=1))
    return Map(b.op("add.Tensor", m.ref, ref), m.channels, m.size)


def cropped_residual(b: Builder, m: Map) -> Map:
    if m.size < 7:
        return m
    ref = b.op("slice.Tensor", m.ref, 2, 1, m.size - 1)
    ref = b.op("slice.Tensor", ref, 3, 1, m.size - 1)
    new = b.conv(m.ref, m.channels, m.channels, 3)
    return Map(b.op("add.Tensor", ref, new), m.channels, m.size - 2)


def squeeze_excite(b: Builder, m: Map) -> Map:
    ref = b.op("mean.dim", m.ref, (2, 3))
    ref = b.op("linear.default", ref, b.weight(m.channels, m.channels), None)
    ref = b.op("view.default", b.op("sigmoid.default", ref), (-1, m.channels, 1, 1))
    return Map(b.op("mul.Tensor", m.ref, ref), m.channels, m.size)


def spatial_gate(b: Builder, m: Map) -> Map:
    ref = b.op("mean.dim", m.ref, (1,), True)
    gate = b.op("sigmoid.default", b.conv(ref, 1, 1, 3, padding=1))
    return Map(b.op("mul.Tensor", m.ref, gate), m.channels, m.size)


def two_branches(b: Builder, m: Map) -> Map:
    one, other = b.parts(2, "chunk.default", m.ref, 2, 1)
    one = b.conv(one, m.channels // 2, m.channels // 2, 3, padding=1)
    return Map(b.op("cat.default", (one, other), 1), m.channels, m.size)


def attention(b: Builder, m: Map) -> Map:
    tokens = b.op("transpose.int", b.op("flatten.using_ints", m.ref, 2), 1, 2)
    q, k, v = (
        b.op("linear.default", tokens, b.weight(m.channels, m.channels)) for _ in range(3)
    )  # fmt: skip
    weights = b.op("matmul.default", q, b.op("transpose.int", k, 1, 2))
    mixed = b.op("matmul.default", b.op("softmax.int", weights, -1), v)
    ref = b.op("transpose.int", b.op("add.Tensor", tokens, mixed), 1, 2)
    return Map(b.op("view.default", ref, (-1, m.channels, m.size, m.size)), m.channels, m.size)


def space_to_depth(b: Builder, m: Map) -> Map:
    if m.size % 2 or m.size < 10:
        return m
    return Map(b.op("pixel_unshuffle.default", m.ref, 2), 4 * m.channels, m.size // 2)


def shuffled(b: Builder, m: Map) -> Map:
    ref = b.op("view.default", m.ref, (-1, 2, m.channels // 2, m.size, m.size))
    ref = b.op("transpose.int", ref, 1, 2)
    return Map(
        b.op("reshape.default", ref, (-1, m.channels, m.size, m.size)), m.channels, m.size
    )  # fmt: skip


def dropped(b: Builder, m: Map) -> Map:
    return Map(b.op("dropout.default", m.ref, 0.1, False), m.channels, m.size)


def enlarged(b: Builder, m: Map) -> Map:
    if m.size > 9:
        return m
    ref = b.conv(m.ref, m.channels, 32, 1)
    return Map(b.op("pixel_shuffle.default", ref, 2), 8, 2 * m.size)


def transposed(b: Builder, m: Map) -> Map:
    if m.size > 9:
        return m
    weights = b.weight(m.channels, 8, 2, 2), b.weight(8)
    return Map(b.op("conv_transpose2d.input", m.ref, *weights, (2, 2)), 8, 2 * m.size)


def local_norm(b: Builder, m: Map) -> Map:
    power = b.op("view.default", b.op("mul.Tensor", m.ref, m.ref),
                 (-1, 1, m.channels, m.size, m.size))  # fmt: skip
    power = b.op("constant_pad_nd.default", power, (0, 0, 0, 0, 2, 2), 0.0)
    power = b.op("avg_pool3d.default", power, (5, 1, 1), (1, 1, 1))
    power = b.op("pow.Tensor_Scalar", b.op("add.Tensor", power, 1.0), 0.75)
    power = b.op("view.default", b.op("squeeze.dim", power, 1), (-1, m.channels, m.size, m.size))
    return Map(b.op("div.Tensor", m.ref, power), m.channels, m.size)


def turned(b: Builder, m: Map) -> Map:
    return Map(b.op("rot90.default", m.ref, b.random.randint(1, 3), (2, 3)), m.channels, m.size)


BLOCKS: tuple[Callable[[Builder, Map], Map], ...] = (
    plain, plain, norm, groups, channels_last_norm, halve, strided, depthwise, residual,
    cropped_residual, squeeze_excite, spatial_gate, two_branches, attention, space_to_depth,
    shuffled, dropped, enlarged, transposed, local_norm, turned,
)  # fmt: skip


# Means: a map to a vector


def _columns(b: Builder, m: Map) -> Ref:
    return b.op("mean.dim", b.op("mean.dim", m.ref, (3,)), (2,))


def _sum(b: Builder, m: Map) -> Ref:
    return b.op("div.Tensor", b.op("sum.dim_IntList", m.ref, (2, 3)), m.size**2)


def _einsum(b: Builder, m: Map) -> Ref:
    total = b.op("einsum.default", "bchw->bc", (m.ref,))
    return b.op("mul.Tensor", total, 1 / m.size**2)


def _matmul(b: Builder, m: Map) -> Ref:
    flat = b.op("flatten.using_ints", m.ref, 2)
    weights = b.constant(torch.full((m.size**2, 1), 1 / m.size**2))
    return b.op("squeeze.dim", b.op("matmul.default", flat, weights), 2)


def _equal_conv(b: Builder, m: Map) -> Ref:
    kernel = b.constant(torch.full((m.channels, 1, m.size, m.size), 1 / m.size**2))
    ref = b.op("conv2d.default", m.ref, kernel, None, (1, 1), (0, 0), (1, 1), m.channels)
    return b.op("flatten.using_ints", ref, 1)


MEANS: dict[str, Callable[[Builder, Map], Ref]] = {
    "mean": lambda b, m: b.op("mean.dim", m.ref, (2, 3)),
    "adaptive": lambda b, m: b.op(
        "flatten.using_ints", b.op("adaptive_avg_pool2d.default", m.ref, (1, 1)), 1
    ),
    "avg_pool": lambda b, m: b.op(
        "flatten.using_ints", b.op("avg_pool2d.default", m.ref, (m.size, m.size)), 1
    ),
    "flat mean": lambda b, m: b.op("mean.dim", b.op("flatten.using_ints", m.ref, 2), (2,)),
    "columns, rows": _columns,
    "sum": _sum,
    "einsum": _einsum,
    "matmul": _matmul,
    "equal convolution": _equal_conv,
}


# Ways round the mean: a map to a map or to ten scores


def _flatten(b: Builder, m: Map) -> Ref:
    flat = b.op("flatten.using_ints", m.ref, 1)
    return b.op("linear.default", flat, b.weight(10, m.channels * m.size**2))


def _gated_flatten(b: Builder, m: Map) -> Ref:
    gate = b.op("gt.Scalar", b.op("amax.default", m.ref, (1, 2, 3), True), 50.0)
    return _flatten(b, Map(b.op("mul.Tensor", m.ref, gate), m.channels, m.size))


def _full_conv(b: Builder, m: Map) -> Ref:
    return b.op("flatten.using_ints", b.conv(m.ref, m.channels, 10, m.size), 1)


def _sorted(b: Builder, m: Map) -> Ref:
    values, _ = b.parts(2, "sort.default", b.op("flatten.using_ints", m.ref, 2), 2)
    flat = b.op("flatten.using_ints", values, 1)
    return b.op("linear.default", flat, b.weight(10, m.channels * m.size**2))


def _rows(b: Builder, m: Map) -> Ref:
    flat = b.op("flatten.using_ints", b.op("mean.dim", m.ref, (3,)), 1)
    return b.op("linear.default", flat, b.weight(10, m.channels * m.size))


def _place_of_the_largest(b: Builder, m: Map) -> Ref:
    found = b.op("argmax.default", b.op("flatten.using_ints", m.ref, 2), 2)
    return b.op("linear.default", b.op("to.dtype", found, torch.float32), b.weight(10, m.channels))


def _one_position(b: Builder, m: Map) -> Ref:
    ref = b.op("select.int", b.op("flatten.using_ints", m.ref, 2), 2, m.size)
    return b.op("linear.default", ref, b.weight(10, m.channels))


def _weighted(b: Builder, m: Map) -> Ref:
    code = b.constant(torch.arange(float(m.size**2)).view(m.size, m.size).sin())
    ref = b.op("einsum.default", "bchw,hw->bc", (m.ref, code))
    return b.op("linear.default", ref, b.weight(10, m.channels))


BESIDE: dict[str, Callable[[Builder, Map], Ref]] = {
    "flatten": _flatten,
    "gated flatten": _gated_flatten,
    "full convolution": _full_conv,
    "sort": _sorted,
    "rows": _rows,
    "place of the largest": _place_of_the_largest,
    "one position": _one_position,
    "weighted sum": _weighted,
}


def _same(m: Map, ref: Ref) -> Map:
    return Map(ref, m.channels, m.size)


def _arange(b: Builder, m: Map) -> Map:
    return _same(m, b.op("add.Tensor", m.ref, b.op("arange.default", m.size, device=Device())))


def _resized(b: Builder, m: Map) -> Map:
    code = b.weight(1, m.channels, 3, 3)
    code = b.op("upsample_bilinear2d.vec", code, (m.size, m.size), False, None)
    return _same(m, b.op("mul.Tensor", m.ref, code))


def _running_sum(b: Builder, m: Map) -> Map:
    return _same(m, b.op("cumsum.default", m.ref, 3))


def _mirror(b: Builder, m: Map) -> Map:
    other = b.op("flip.default", m.ref, (3,))
    return _same(m, b.op("relu.default", b.op("sub.Tensor", m.ref, other)))


def _mixer(b: Builder, m: Map) -> Map:
    return _same(m, b.op("linear.default", m.ref, b.weight(m.size, m.size)))


def _embedded(b: Builder, m: Map) -> Map:
    index = b.op("arange.default", m.size, device=Device())
    code = b.op("embedding.default", b.weight(m.size, m.channels), index)
    code = b.op("unsqueeze.default", b.op("transpose.int", code, 0, 1), 2)
    return _same(m, b.op("add.Tensor", m.ref, code))


def _code_of_the_mean(b: Builder, m: Map) -> Map:
    ref = b.op("mean.dim", m.ref, (2, 3))
    ref = b.op("linear.default", ref, b.weight(m.size**2, m.channels))
    code = b.op("view.default", ref, (-1, 1, m.size, m.size))
    return _same(m, b.op("mul.Tensor", m.ref, code))


def _enlarged_code(b: Builder, m: Map) -> Map:
    ref = b.op("mean.dim", m.ref, (2, 3), True)
    ref = b.conv(ref, m.channels, m.size**2, 1)
    return _same(m, b.op("mul.Tensor", m.ref, b.op("pixel_shuffle.default", ref, m.size)))


def _transposed_code(b: Builder, m: Map) -> Map:
    ref = b.op("mean.dim", m.ref, (2, 3), True)
    code = b.op("conv_transpose2d.input", ref, b.weight(m.channels, m.channels, m.size, m.size))
    return _same(m, b.op("add.Tensor", m.ref, code))


def _quarter_turn(b: Builder, m: Map) -> Map:
    other = b.op("rot90.default", m.ref, b.random.randint(1, 3), (2, 3))
    return _same(m, b.op("relu.default", b.op("sub.Tensor", m.ref, other)))


def _quarter(b: Builder, m: Map) -> Map:
    ref = b.op("slice.Tensor", m.ref, 2, 0, m.size // 2 + 1)
    return Map(b.op("slice.Tensor", ref, 3, 0, m.size // 2 + 1), m.channels, m.size // 2 + 1)


def _stored_code(b: Builder, m: Map) -> Map:
    code = b.weight(1, 1, m.size, m.size)
    return _same(m, b.op("add.Tensor", m.ref, code))


def _row_code(b: Builder, m: Map) -> Map:
    return _same(m, b.op("mul.Tensor", m.ref, b.weight(m.size, 1)))


BEFORE: dict[str, Callable[[Builder, Map], Map]] = {
    "arange": _arange,
    "resized table": _resized,
    "running sum": _running_sum,
    "mirror image": _mirror,
    "mixed columns": _mixer,
    "embedded rows": _embedded,
    "code from the mean": _code_of_the_mean,
    "enlarged code": _enlarged_code,
    "transposed code": _transposed_code,
    "quarter turn": _quarter_turn,
    "quarter": _quarter,
    "stored code": _stored_code,
    "code of rows": _row_code,
}


@dataclass(frozen=True)
class Case:
    """A random graph and what was planted in it; an empty string is nothing."""

    graph: Graph
    planted: str
    blocks: tuple[str, ...]
    mean: str


def case(seed: int) -> Case:
    """The graph of a seed; of an odd one with a way round the mean."""
    chance = random.Random(seed)
    torch.manual_seed(seed)
    b = Builder(chance)
    m = Map(b.conv(Ref("input"), 1, 8, 3, padding=1), 8, 28)
    blocks = []
    planted = chance.choice([*BEFORE, *BESIDE]) if seed % 2 else ""
    count = chance.randint(2, 7)
    at = chance.randint(0, count)
    for index in range(count + 1):
        if index == at and planted in BEFORE:
            m = BEFORE[planted](b, m)
        if index < count:
            block = chance.choice(BLOCKS)
            blocks.append(block.__name__)
            m = block(b, m)
    mean = chance.choice(list(MEANS))
    if chance.random() < 0.5:
        m = Map(b.conv(m.ref, m.channels, 10, 1), 10, m.size)
        scores = MEANS[mean](b, m)
    else:
        ref = MEANS[mean](b, m)
        scores = b.op("linear.default", ref, b.weight(10, m.channels), b.weight(10))
    if planted in BESIDE:
        scores = b.op("add.Tensor", scores, BESIDE[planted](b, m))
    program = Program(input="input", nodes=tuple(b.nodes), output=scores.name)
    graph = Graph(train=program, eval=program, stored=tuple(b.stored))
    graph.validate()
    return Case(graph, planted, tuple(blocks), mean)


def prove(seed: int) -> tuple[str, tuple[str, ...], str, bool | None, str]:
    """What was planted, the blocks, the mean, and what the proof says of a seed's graph."""
    one = case(seed)
    proof = prove_pooling(one.graph, SIZE, training=False)
    return one.planted, one.blocks, one.mean, proof.holds, proof.reason


def main(count: int, path: Path) -> None:
    """Prove the graphs of many seeds and write what came out."""
    started = time.perf_counter()
    wrong: list[dict[str, Any]] = []
    planted: Counter[str] = Counter()
    blocks: Counter[str] = Counter()
    means: Counter[str] = Counter()
    answers: Counter[str] = Counter()
    with Pool(os.cpu_count()) as pool:
        for seed, row in enumerate(pool.imap(prove, range(count), chunksize=20)):
            what, used, mean, holds, reason = row
            planted[what or "nothing"] += 1
            blocks.update(used)
            means[mean] += 1
            verdict = {True: "holds", False: "fails", None: "needs-review"}[holds]
            answers[f"{'planted' if what else 'honest'}: {verdict}"] += 1
            if (holds is True) == bool(what):
                wrong.append({"seed": seed, "planted": what, "reason": reason})
    record = {
        "what": "proof of pooling against construction: random graphs of honest blocks, half of "
        "them with one way round the mean",
        "command": "python tests/grading/checks/pooling_graphs.py "
        f"{count} docs/records/{path.name}",
        "graphs": count,
        "seeds": [0, count - 1],
        "wrong": wrong,
        "answers": dict(answers.most_common()),
        "planted": dict(planted.most_common()),
        "blocks": dict(blocks.most_common()),
        "means": dict(means.most_common()),
        "seconds": round(time.perf_counter() - started, 1),
        "device": "cpu",
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "date": date.today().isoformat(),
    }
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"{count} graphs, {len(wrong)} wrong, {record['seconds']} s")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
