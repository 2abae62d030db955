"""Run a model without leaving a trace in it: stand-in tensors, hooks and state put back."""

from __future__ import annotations

import contextlib
import gc
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from eva.rf.tracing.recorder import FORBIDS, Recorder

COMPILES_ITSELF = "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG"  # FlexAttention compiles unless true


@contextlib.contextmanager
def watched(
    model: nn.Module, recorder: Recorder, source: Callable[[nn.Module, Any], None] | None = None
) -> Iterator[None]:
    """Hooks on every module that open and close a frame for each call.

    ``source`` is told of what each module returned, before its frame is closed.
    """
    names = {id(m): n for n, m in model.named_modules()}

    def enter(module: nn.Module, args: Any, kwargs: Any) -> None:
        inputs = (args, list(kwargs.values())) if kwargs else args
        recorder.begin(names.get(id(module), ""), module, inputs)

    def leave(module: nn.Module, args: Any, output: Any) -> None:
        if source is not None:
            source(module, output)
        recorder.end(output)

    handles = []
    try:
        for module in model.modules():
            if not is_scripted(module):
                handles.append(
                    module.register_forward_pre_hook(enter, prepend=True, with_kwargs=True)
                )
                handles.append(module.register_forward_hook(leave))
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """No search for cyclic garbage meanwhile: nearly all that a trace makes lives until its end.

    A full search visits every object that PyTorch holds, and takes longer than a forward pass.
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def is_scripted(module: nn.Module) -> bool:
    """Whether it is a TorchScript module, whose inside can't be changed."""
    return isinstance(module, torch.jit.ScriptModule)


@contextlib.contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Put back every attribute, parameter, buffer, mode and random generator as it was."""
    modes = [(m, m.training) for m in model.modules()]
    saved = [
        (m, dict(vars(m)), dict(m._parameters), dict(m._buffers), dict(m._modules))
        for m in model.modules()
        if not is_scripted(m)
    ]
    generators = [torch.get_rng_state(), random.getstate(), np.random.get_state()]
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # it is one operation that hides all others
    flex = sys.modules.get("torch.nn.attention.flex_attention")
    compiled = getattr(flex, COMPILES_ITSELF, None)
    stance = "torch._dynamo" in sys.modules
    try:
        if compiled is not None:
            setattr(flex, COMPILES_ITSELF, True)
        with torch.compiler.set_stance("force_eager") if stance else contextlib.nullcontext():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        if compiled is not None:
            setattr(flex, COMPILES_ITSELF, compiled)
        for m, attributes, parameters, buffers, children in saved:
            vars(m).clear()
            vars(m).update(attributes)
            tables: tuple[tuple[Any, Any], ...] = (
                (m._parameters, parameters),
                (m._buffers, buffers),
                (m._modules, children),
            )
            for table, before in tables:
                table.clear()
                table.update(before)
        for m, mode in modes:
            if m.training != mode:
                m.training = mode
        torch.set_rng_state(generators[0])  # type: ignore[arg-type]
        random.setstate(generators[1])  # type: ignore[arg-type]
        np.random.set_state(generators[2])  # type: ignore[arg-type]
        if cuda:
            torch.cuda.set_rng_state_all(cuda)


def _has_infinity(tensor: torch.Tensor) -> bool:
    """Whether a table of numbers holds an infinite one, as attention masks do."""
    known = tensor.device.type != "meta" and tensor.ndim > 1 and tensor.is_floating_point()
    return known and bool(tensor.isinf().any())


def stand_ins(model: nn.Module, meta: bool) -> Callable[[torch.Tensor], torch.Tensor | None]:
    """Replace parameters, buffers and tensor attributes: by meta tensors, or buffers by copies.

    Returns:
        A function that says which tensor of the model another one stands for; None for others.
    """
    made: dict[int, torch.Tensor] = {}
    originals: dict[int, torch.Tensor] = {}

    def substitute(tensor: torch.Tensor) -> torch.Tensor:
        if id(tensor) not in made:
            if not meta:
                new = tensor if isinstance(tensor, nn.Parameter) else tensor.clone()
            else:
                new = torch.empty_strided(
                    tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta"
                )
                if isinstance(tensor, nn.Parameter):
                    new = nn.Parameter(new, requires_grad=False)
                elif _has_infinity(tensor):
                    setattr(new, FORBIDS, True)
            made[id(tensor)] = new
            originals[id(new)] = tensor
        return made[id(tensor)]

    for module in model.modules():
        if is_scripted(module):
            continue
        vars(module)["_compiled_call_impl"] = None
        tables: tuple[Any, ...] = (module._parameters, module._buffers, vars(module))
        for table in tables:
            for key, tensor in table.items():
                if isinstance(tensor, torch.Tensor):
                    table[key] = substitute(tensor)

    return lambda tensor: originals.get(id(tensor))
