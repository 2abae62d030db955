"""One name for each operation that eva rewrites, however a network calls it.

One network calls :func:`torch.nn.functional.relu`, another ``x.relu()``, a third works in place,
and one that was captured as a graph calls ``aten.relu.default``. Whatever rewrites what a network
runs, :mod:`~eva.kernels.folding` and :mod:`~eva.kernels.cpu_dispatch`, knows the first of these
names alone.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx

aten: Any = torch.ops.aten

_CONV = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_POOL = ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
_NORM = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
_ATEN_NORM = ("input", "weight", "bias", "running_mean", "running_var", *_NORM[5:], "cudnn_enabled")
# What a call is, and the names of its arguments in their order.
_CALLS: dict[Any, tuple[Any, tuple[str, ...]]] = {
    F.conv2d: (F.conv2d, _CONV),
    aten.conv2d.default: (F.conv2d, _CONV),
    aten.conv2d.padding: (F.conv2d, _CONV),
    F.max_pool2d: (F.max_pool2d, _POOL),
    torch.max_pool2d: (F.max_pool2d, _POOL),
    aten.max_pool2d.default: (F.max_pool2d, _POOL),
    F.batch_norm: (F.batch_norm, _NORM),
    torch.batch_norm: (F.batch_norm, _ATEN_NORM),
    aten.batch_norm.default: (F.batch_norm, _ATEN_NORM),
    F.relu: (F.relu, ("input", "inplace")),
    torch.relu: (F.relu, ("input",)),
    "relu": (F.relu, ("input",)),
    aten.relu.default: (F.relu, ("input",)),
    aten.view.default: ("view", ("input", "size")),
}
_IN_PLACE: dict[Any, Any] = {  # and what does the same with a copy
    torch.relu_: F.relu,
    "relu_": F.relu,
    aten.relu_.default: F.relu,
    operator.iadd: operator.add,
    aten.add_.Tensor: aten.add.Tensor,
}
# Operations whose result is no view of anything, so nobody sees whether it is overwritten.
_FRESH = {F.conv2d, F.batch_norm, F.max_pool2d, operator.add, aten.add.Tensor}


def name_calls(module: fx.GraphModule) -> None:
    """Give each operation its one name; what the network computes stays.

    What overwrites a result that nothing else reads writes a new one instead: so nothing changes
    what another operation has kept for its gradient.

    Args:
        module: As :func:`torch.compile` hands it to a backend; changed in place. The input of each
            renamed call is its only positional argument.
    """
    for node in module.graph.nodes:
        if node.op not in ("call_function", "call_method"):
            continue
        if node.target in _IN_PLACE and _reads_fresh(node):
            node.target = _IN_PLACE[node.target]
            node.op = "call_function"
        if node.target in _CALLS:
            _rename(node, *_CALLS[node.target])
    module.recompile()


def conv_arguments(node: fx.Node) -> dict[str, Any]:
    """All arguments of a node that calls :func:`torch.nn.functional.conv2d`, by their names."""
    given = dict(zip(_CONV, (None, None, None, 1, 0, 1, 1), strict=True))
    return given | dict(zip(_CONV, node.args, strict=False)) | node.kwargs


def pair(value: Any) -> tuple[Any, Any]:
    """Both axes' value; PyTorch takes one for both, too."""
    if isinstance(value, (tuple, list)):
        return (value[0], value[-1])
    return (value, value)


def _rename(node: fx.Node, target: Any, names: tuple[str, ...]) -> None:
    given = dict(zip(names, node.args, strict=False))
    given |= {{"self": "input"}.get(name, name): value for name, value in node.kwargs.items()}
    x = given.pop("input")
    given.pop("cudnn_enabled", None)
    if target is F.max_pool2d and given.get("stride") == []:
        del given["stride"]  # it is the side of the window then
    if target is F.relu and _reads_fresh(node):
        given.pop("inplace", None)
    node.target, node.args, node.kwargs = target, (x,), given
    node.op = "call_function"
    if target == "view":
        node.op, node.args, node.kwargs = "call_method", (x, given["size"]), {}


def _reads_fresh(node: fx.Node) -> bool:
    """Whether what an operation reads first was made for it alone."""
    x = node.args[0] if node.args else node.kwargs.get("input")
    return isinstance(x, fx.Node) and x.target in _FRESH and len(x.users) == 1
