"""A copy of a model in which everything that is seen shows in a gradient.

Float64, positive weights, no bias; activations and norms linear, max-pool an average. Nothing can
cancel or saturate then, so a gradient is positive exactly where a unit sees the input. This file
knows nothing of rules or windows: it is the independent oracle that they are tested against.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

SAME_VALUES = {
    "relu", "relu6", "gelu", "silu", "hardswish", "hardsigmoid", "sigmoid", "tanh", "elu", "selu",
    "leaky_relu", "celu", "mish", "softplus", "hardtanh", "clamp", "prelu", "rrelu", "logsigmoid",
    "softsign", "tanhshrink", "hardshrink", "softshrink", "threshold", "exp", "abs", "neg", "sqrt",
    "batch_norm", "dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout",
    "feature_dropout", "feature_alpha_dropout", "stochastic_depth", "positive", "log", "square",
    "rsqrt", "sign", "log1p", "expm1", "erf", "pow", "__pow__",
}  # fmt: skip


def linearized(model: nn.Module) -> nn.Module:
    """A float64 copy with positive weights (1 / fan-in), no bias, in eval mode.

    Args:
        model: Any module; it is not changed.
    """
    made: dict[int, Any] = {  # tensors that were computed from parameters can't be copied
        id(value): value.detach().clone()
        for module in model.modules()
        for value in vars(module).values()
        if isinstance(value, Tensor) and not value.is_leaf
    }
    twin = copy.deepcopy(model, made).to("cpu", torch.float64).eval()
    with torch.no_grad():
        for name, parameter in twin.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
            elif parameter.is_floating_point():
                parameter.fill_(parameter.shape[0] / parameter.numel() if parameter.ndim else 1.0)
    return twin


class Linearize(TorchFunctionMode):
    """Replaces what is not linear by something linear that sees exactly the same."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run ``func``, or its linear replacement."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        name = name if name.startswith("__") else name.rstrip("_").lstrip("_")
        if name in SAME_VALUES and args and isinstance(args[0], Tensor):
            return args[0]
        if name in REPLACED:
            return REPLACED[name](func, *args, **kwargs)
        return func(*args, **kwargs)


def _subtract(func: Any, a: Any, b: Any, **_: Any) -> Any:
    return a + b


def _join(func: Any, a: Any, b: Any, **_: Any) -> Any:
    """A product or extreme of two tensors sees both, even where one of them is zero.

    The zeros of a constant stay: what is multiplied by a mask is not seen where the mask is zero.
    """
    if not (isinstance(a, Tensor) and isinstance(b, Tensor)):
        return a if isinstance(a, Tensor) else b
    if "mul" in func.__name__ and a.requires_grad != b.requires_grad:
        data, constant = (a, b) if a.requires_grad else (b, a)
        return data * (constant != 0)
    return a + b


def _mixed(func: Any, x: Tensor, dim: Any, *_: Any, **__: Any) -> Tensor:
    return x + x.mean(dim, keepdim=True)


def _softmax(func: Any, x: Tensor, dim: Any = None, *_: Any, **__: Any) -> Tensor:
    return _mixed(func, x, -1 if dim is None else dim)


def _layer_norm(func: Any, x: Tensor, shape: Any, *_: Any, **__: Any) -> Tensor:
    return _mixed(func, x, tuple(range(x.ndim - len(shape), x.ndim)))


def _group_norm(func: Any, x: Tensor, groups: int, *_: Any, **__: Any) -> Tensor:
    parts = x.reshape(x.shape[0], groups, -1)
    return (parts + parts.mean(2, keepdim=True)).reshape(x.shape)


def _instance_norm(func: Any, x: Tensor, *_: Any, **__: Any) -> Tensor:
    return _mixed(func, x, tuple(range(2, x.ndim)))


def _response_norm(func: Any, x: Tensor, *_: Any, **__: Any) -> Tensor:
    return _mixed(func, x, 1)


def _extreme(func: Any, x: Tensor, dim: Any = None, keepdim: bool = False, **_: Any) -> Any:
    if isinstance(dim, Tensor):
        return x + dim
    if dim is None:
        return x.mean()
    mean = x.mean(dim, keepdim=keepdim)
    return mean if func.__name__ in ("amax", "amin", "logsumexp") else (mean, mean.detach())


def _spread(
    func: Any, x: Tensor, dim: Any = None, *_: Any, keepdim: bool = False, **__: Any
) -> Any:
    return x.mean() if dim is None else x.mean(dim, keepdim=keepdim)


def _attention(func: Any, query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> Tensor:
    keys = key.mean((-1, -2), keepdim=True)
    return query.mean(-1, keepdim=True) + keys + value.mean(-2, keepdim=True)


def _max_pool(rank: int) -> Callable[..., Any]:
    def pool(
        func: Any,
        x: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        k, p, d = (_tuple(v, rank) for v in (kernel_size, padding, dilation))
        s = _tuple(stride, rank) if stride not in (None, [], ()) else k
        single = x.ndim == rank + 1
        x = x[None] if single else x
        extra = []
        for axis in range(rank):
            size = x.shape[2 + axis]
            reach = d[axis] * (k[axis] - 1)
            span = size + 2 * p[axis] - reach - 1
            count = -(-span // s[axis]) + 1 if ceil_mode else span // s[axis] + 1
            if ceil_mode and (count - 1) * s[axis] >= size + p[axis]:
                count -= 1  # a window must begin inside the input or its left padding
            extra.append(max(0, (count - 1) * s[axis] + reach + 1 - size - p[axis]))
        pads = [n for axis in reversed(range(rank)) for n in (p[axis], extra[axis])]
        x = F.pad(x, pads)
        weight = x.new_ones(x.shape[1], 1, *k) / float(torch.tensor(k).prod())
        convolve = (F.conv1d, F.conv2d, F.conv3d)[rank - 1]
        out = convolve(x, weight, stride=s, dilation=d, groups=x.shape[1])
        out = out[0] if single else out
        return (out, torch.zeros_like(out, dtype=torch.int64)) if return_indices else out

    return pool


def _adaptive_max(rank: int) -> Callable[..., Any]:
    def pool(func: Any, x: Tensor, output_size: Any, return_indices: bool = False) -> Any:
        average = (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d)[rank - 1]
        out = average(x, output_size)
        return (out, torch.zeros_like(out, dtype=torch.int64)) if return_indices else out

    return pool


def _lp_pool(rank: int) -> Callable[..., Any]:
    def pool(
        func: Any, x: Tensor, norm: Any, kernel: Any, stride: Any = None, ceil_mode: bool = False
    ) -> Any:
        average = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[rank - 1]
        return average(x, kernel, stride, 0, ceil_mode)

    return pool


def _interpolate(func: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Axis by axis with the magnitudes of the true weights; residues of rounding are no weights."""
    rank = x.ndim - 2
    names = ("size", "scale_factor", "mode", "align_corners")
    options = {**dict(zip(names, args, strict=False)), **kwargs}
    size, scale = options.get("size"), options.get("scale_factor")
    mode = options.get("mode", "nearest")
    rest = {
        k: options[k]
        for k in ("align_corners", "recompute_scale_factor", "antialias")
        if options.get(k) is not None
    }
    line = {"bilinear": "linear", "trilinear": "linear"}.get(mode, mode)
    for axis in range(rank):
        n = x.shape[2 + axis]
        own: dict[str, Any] = {
            "size": None if size is None else _tuple(size, rank)[axis],
            "scale_factor": None if scale is None else _tuple(scale, rank)[axis],
        }
        eye = torch.eye(n, dtype=torch.float64)[:, None]
        flat = line == "bicubic" or bool(rest.get("antialias"))
        if flat:  # exists for maps only: maps of one row
            eye = eye[:, None]
            own = {k: None if v is None else (1, v) for k, v in own.items()}
        with torch._C.DisableTorchFunction():
            weights = F.interpolate(eye, **own, mode=mode if flat else line, **rest)
        weights = weights.reshape(n, -1)
        weights = torch.where(weights.abs() > 1e-9, weights.abs(), 0.0)
        x = torch.movedim(torch.movedim(x, 2 + axis, -1) @ weights, -1, 2 + axis)
    return x


def _tuple(value: Any, rank: int) -> tuple[Any, ...]:
    values = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    return values * rank if len(values) == 1 else values


REPLACED: dict[str, Callable[..., Any]] = {
    "sub": _subtract,
    "__isub__": _subtract,
    "subtract": _subtract,
    "__sub__": _subtract,
    "__rsub__": _subtract,
    "rsub": _subtract,
    **dict.fromkeys(
        (
            "div",
            "divide",
            "true_divide",
            "__truediv__",
            "mul",
            "multiply",
            "__mul__",
            "__rmul__",
            "__imul__",
            "__itruediv__",
            "maximum",
            "minimum",
            "fmax",
            "fmin",
        ),
        _join,
    ),
    "softmax": _softmax,
    "log_softmax": _softmax,
    "layer_norm": _layer_norm,
    "group_norm": _group_norm,
    "instance_norm": _instance_norm,
    "local_response_norm": _response_norm,
    "max": _extreme,
    "min": _extreme,
    "amax": _extreme,
    "amin": _extreme,
    "logsumexp": _extreme,
    "std": _spread,
    "var": _spread,
    "norm": _spread,
    "scaled_dot_product_attention": _attention,
    "interpolate": _interpolate,
    "upsample": _interpolate,
    **{f"max_pool{r}d": _max_pool(r) for r in (1, 2, 3)},
    **{f"max_pool{r}d_with_indices": _max_pool(r) for r in (1, 2, 3)},
    **{f"adaptive_max_pool{r}d": _adaptive_max(r) for r in (1, 2, 3)},
    **{f"lp_pool{r}d": _lp_pool(r) for r in (1, 2, 3)},
}
