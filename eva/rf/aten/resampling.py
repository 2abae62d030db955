"""Rules for PyTorch's interpolation, padding, pixel shuffling and unfolding."""

from __future__ import annotations

from collections.abc import Callable

from eva.rf.algebra import Algebra, Seen
from eva.rf.aten.base import rule
from eva.rf.aten.interpolation import antialiased, cubic, linear_weights, nearest, padded
from eva.rf.geometry import AxisMap, Window, taps
from eva.rf.rules import Geometry, Op, Sliding, numbers


def _resized(op: Op, make: Callable[[int, int, float | None, bool], AxisMap]) -> Sliding:
    shape, out = op.first.shape, op.outputs[0]
    rank = len(shape) - 2
    named = [op.args.get(k) for k in ("scales_d", "scales_h", "scales_w")][3 - rank :]
    single = op.args.get("scales")
    given = op.args.get("scale_factors")
    scales = list(given) if given else [single] if rank == 1 else named
    corners = bool(op.args.get("align_corners", False))
    maps = {
        d: make(shape[d], out[d], scale, corners)
        for d, scale in zip(range(2, len(shape)), scales, strict=True)
        if shape[d] != out[d] or scale not in (None, 1.0)
    }
    return Sliding(maps=maps)


@rule(
    "upsample_nearest1d",
    "upsample_nearest2d",
    "upsample_nearest3d",
    "_upsample_nearest_exact1d",
    "_upsample_nearest_exact2d",
    "_upsample_nearest_exact3d",
)
def resize_nearest(op: Op) -> Geometry:
    """Nearest neighbor, rounded down or at pixel centers."""
    exact = "exact" in op.name
    return _resized(op, lambda n, o, s, c: nearest(n, o, s, exact))


@rule("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d")
def resize_linear(op: Op) -> Geometry:
    """Linear, bilinear and trilinear interpolation."""
    return _resized(op, linear_weights)


@rule("upsample_bicubic2d")
def resize_cubic(op: Op) -> Geometry:
    """Bicubic interpolation."""
    return _resized(op, cubic)


@rule("_upsample_bilinear2d_aa")
def linear_smooth(op: Op) -> Geometry:
    """Antialiased bilinear interpolation."""
    return _resized(op, lambda n, o, s, c: antialiased(n, o, 1, s, c))


@rule("_upsample_bicubic2d_aa")
def cubic_smooth(op: Op) -> Geometry:
    """Antialiased bicubic interpolation."""
    return _resized(op, lambda n, o, s, c: antialiased(n, o, 2, s, c))


@rule(
    "reflection_pad1d",
    "reflection_pad2d",
    "reflection_pad3d",
    "replication_pad1d",
    "replication_pad2d",
    "replication_pad3d",
)
def bent_pad(op: Op) -> Geometry:
    """Reflection and replication padding."""
    shape, pad = op.first.shape, op["padding"]
    mode = "reflect" if "reflection" in op.name else "replicate"
    rank = len(shape)
    return Sliding(
        maps={
            rank - 1 - i: padded(shape[rank - 1 - i], pad[2 * i], pad[2 * i + 1], mode)
            for i in range(len(pad) // 2)
        }
    )


@rule("pixel_shuffle")
def pixel_shuffle(op: Op) -> Geometry:
    """Blocks of channels laid out as pixels: each input pixel becomes r x r output pixels."""
    r = op["upscale_factor"]
    block = Window(period=r, advance=1, taps=(taps([0]),) * r)

    def apply(algebra: Algebra, op: Op) -> list[Seen | None]:
        state, out = op.first.state, op.outputs[0]
        if state is None:
            return [None]
        if state.which is not None or algebra.varies(state, 1):
            n, (c, h, w) = state.shape[:-3], state.shape[-3:]
            k = len(n)
            split = algebra.reshape(state, (*n, c // r**2, r, r, h, w))
            order = (*range(k), k, k + 3, k + 1, k + 4, k + 2)
            return [algebra.reshape(algebra.permute(split, order), out)]
        rank = len(out)
        maps = {d: AxisMap(count=out[d], window=block) for d in (rank - 2, rank - 1)}
        return [algebra.slide(state, maps, out, channels=0)]

    return apply


@rule("pixel_unshuffle")
def pixel_unshuffle(op: Op) -> Geometry:
    """Pixels of r x r blocks become channels, each with every r-th row and column."""
    r = op["downscale_factor"]

    def apply(algebra: Algebra, op: Op) -> list[Seen | None]:
        state, out = op.first.state, op.outputs[0]
        if state is None:
            return [None]
        rank = len(out)
        parts = []
        for i in range(r):
            for j in range(r):
                rows = algebra.take(state, rank - 2, range(i, state.shape[-2], r))
                part = algebra.take(rows, rank - 1, range(j, state.shape[-1], r))
                parts.append(algebra.reshape(part, (*part.shape[:-2], 1, *part.shape[-2:])))
        wide = algebra.concat(parts, rank - 2, (*state.shape[:-2], r * r, *out[-2:]))
        return [algebra.reshape(wide, out)]

    return apply


@rule("channel_shuffle", "native_channel_shuffle")
def channel_shuffle(op: Op) -> Geometry:
    """Channels dealt out in turn."""

    def apply(algebra: Algebra, op: Op) -> list[Seen | None]:
        state = op.first.state
        if state is None:
            return [None]
        count, groups = state.shape[1], op["groups"]
        each = count // groups
        return [algebra.take(state, 1, [g * each + i for i in range(each) for g in range(groups)])]

    return apply


@rule("unfold")
def unfold(op: Op) -> Geometry:
    """Overlapping pieces of one dimension; position within a piece is the new last dimension."""
    dim, size, step = op["dimension"], op["size"], op["step"]

    def apply(algebra: Algebra, op: Op) -> list[Seen | None]:
        state = op.first.state
        return [
            None if state is None else pieces(algebra, state, dim % len(state.shape), size, step)
        ]

    return apply


def pieces(algebra: Algebra, state: Seen, dim: int, size: int, step: int) -> Seen:
    """Tensor.unfold: element (.., u, .., k) is element ``u * step + k`` along ``dim``."""
    count = (state.shape[dim] - size) // step + 1
    rank = len(state.shape)
    wide = algebra.take(state, dim, [u * step + k for u in range(count) for k in range(size)])
    split = algebra.reshape(wide, (*state.shape[:dim], count, size, *state.shape[dim + 1 :]))
    order = [d for d in range(rank + 1) if d != dim + 1] + [dim + 1]
    return algebra.permute(split, order)


@rule("im2col")
def im2col(op: Op) -> Geometry:
    """F.unfold: patches as columns, (batch, channels * kernel, positions)."""
    k, d, p, s = (numbers(op[a], 2) for a in ("kernel_size", "dilation", "padding", "stride"))

    def apply(algebra: Algebra, op: Op) -> list[Seen | None]:
        state, out = op.first.state, op.outputs[0]
        if state is None:
            return [None]
        n, c = state.shape[:2]
        counts, shape = [], [n, c]
        for axis in (0, 1):
            size = state.shape[2 + axis]
            count = (size + 2 * p[axis] - d[axis] * (k[axis] - 1) - 1) // s[axis] + 1
            counts.append(count)
            shape += [k[axis], count]
        maps = {}
        flat = [n, c]
        for axis in (0, 1):
            places = [
                i * d[axis] + u * s[axis] - p[axis]
                for i in range(k[axis])
                for u in range(counts[axis])
            ]
            size = state.shape[2 + axis]
            reads = tuple((x,) if 0 <= x < size else () for x in places)
            maps[2 + axis] = AxisMap(count=len(places), window=None, reads=reads)
            flat.append(len(places))
        wide = algebra.slide(state, maps, tuple(flat), channels=0)
        split = algebra.reshape(wide, tuple(shape))
        return [algebra.reshape(algebra.permute(split, (0, 1, 2, 4, 3, 5)), out)]

    return apply


@rule("col2im")
def col2im(op: Op) -> Geometry:
    """F.fold: columns back to a map, overlapping ones added."""
    k, d, p, s = (numbers(op[a], 2) for a in ("kernel_size", "dilation", "padding", "stride"))

    def apply(algebra: Algebra, op: Op) -> list[Seen | None]:
        state, out = op.first.state, op.outputs[0]
        if state is None:
            return [None]
        n = state.shape[0]
        counts = [(out[2 + a] + 2 * p[a] - d[a] * (k[a] - 1) - 1) // s[a] + 1 for a in (0, 1)]
        split = algebra.reshape(state, (n, out[1], k[0], k[1], counts[0], counts[1]))
        turned = algebra.permute(split, (0, 1, 2, 4, 3, 5))
        flat = algebra.reshape(turned, (n, out[1], k[0] * counts[0], k[1] * counts[1]))
        maps = {}
        for a in (0, 1):
            landing: list[list[int]] = [[] for _ in range(out[2 + a])]
            for i in range(k[a]):
                for u in range(counts[a]):
                    place = i * d[a] + u * s[a] - p[a]
                    if 0 <= place < out[2 + a]:
                        landing[place].append(i * counts[a] + u)
            maps[2 + a] = AxisMap(
                count=out[2 + a], window=None, reads=tuple(tuple(x) for x in landing)
            )
        return [algebra.slide(flat, maps, out, channels=0)]

    return apply
