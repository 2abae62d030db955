"""Multiply-adds of the operations that ran.

Layers with weights of their own are counted by torchinfo's formula from our output size, except
transposed convolutions, which it overestimates. Matrix products and convolutions that a module
calls as functions, which torchinfo does not see, are counted from the shapes of their operands.
"""

from __future__ import annotations

from math import prod

from torch import nn
from torchinfo.layer_info import LayerInfo

from eva.rf import Call, OpCall, Trace

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def mult_adds(call: Call, trace: Trace) -> int:
    """Multiply-adds of one call, without its submodules, for a batch as it ran."""
    module = call.module
    leaf = not any(True for _ in module.children())
    if isinstance(module, TRANSPOSED):
        # Every input value meets the kernel once; torchinfo counts every output value.
        inputs, weight = call.input_sizes[0], module.weight
        bias = 0 if module.bias is None else prod(call.output_sizes[0])
        return prod(inputs[:1] + inputs[2:]) * weight.numel() + bias
    if leaf and call.output_sizes and any(True for _ in module.parameters(recurse=False)):
        info = LayerInfo(call.name, module, call.depth)
        info.output_size = list(call.output_sizes[0])
        info.calculate_macs()
        return int(info.macs)
    return sum(operation_mult_adds(trace.ops[index]) for index in call.ops)


def operation_mult_adds(op: OpCall) -> int:
    """Multiply-adds of a matrix product, a convolution or attention; 0 for anything else."""
    name, sizes, outputs = op.name, op.input_sizes, op.output_sizes
    if name in ("aten.mm", "aten.bmm"):
        return prod(sizes[0]) * sizes[1][-1]
    if name in ("aten.addmm", "aten.baddbmm"):
        return prod(sizes[1]) * sizes[2][-1]
    if name == "aten.convolution":
        weight = sizes[1]
        if outputs[0][1] == weight[0] and prod(outputs[0][2:]) <= prod(sizes[0][2:]):
            return prod(outputs[0]) * prod(weight[1:])
        return prod(sizes[0]) * prod(weight[1:])  # transposed
    if name.startswith("aten._scaled_dot_product"):
        query, key, value = sizes[:3]
        return prod(query[:-1]) * key[-2] * (query[-1] + value[-1])
    return 0
