"""Run a model once, on tensors without numbers, and say what every layer sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import nn

from eva.errors import ForwardError
from eva.rf.algebra import Algebra
from eva.rf.field import ReceptiveField
from eva.rf.tracing.calls import Call, Context, Failure, OpCall, Trace
from eva.rf.tracing.inputs import Size, checked_model, example, placed
from eva.rf.tracing.isolate import (
    collector_paused,
    is_scripted,
    stand_ins,
    untouched,
    watched,
)
from eva.rf.tracing.recorder import Frame, Recorder, source_states
from eva.rf.tracing.structure import named_tensors


def receptive_field(
    model: nn.Module,
    input_size: Size | None = None,
    *,
    layer: str | None = None,
    inputs: Sequence[Any] | None = None,
    dtype: torch.dtype | None = None,
) -> ReceptiveField:
    """What one unit of a layer's output sees of the input.

    Args:
        model: Any module.
        input_size: Size of one input without batch, such as ``(1, 28, 28)``.
        layer: Name of a layer, such as ``"features.9"``; the output by default.
        inputs: Example tensors, batch included, instead of sizes.
        dtype: Of the inputs; that of the first parameter by default.

    Raises:
        InputSizeError: The size is missing or malformed.
        ForwardError: The forward pass failed, or no such layer ran.
    """
    return trace(model, input_size, inputs=inputs, dtype=dtype).field(layer)


@collector_paused()
def trace(
    model: nn.Module,
    input_size: Size | None = None,
    *,
    inputs: Sequence[Any] | None = None,
    dtype: torch.dtype | None = None,
    mode: Literal["eval", "train"] = "eval",
    on_error: Literal["raise", "partial"] = "raise",
) -> Trace:
    """Run a model once on tensors without numbers, and follow what every tensor sees.

    The model is left as it was found; it is neither moved nor copied.

    Args:
        model: Any module.
        input_size: Size of one input without batch, such as ``(1, 28, 28)``; a list of sizes for
            several inputs, or a dict from the names of forward's arguments.
        inputs: Example arguments for forward, batch included, instead of sizes.
        dtype: Of the inputs; that of the first parameter by default.
        mode: ``"eval"``, or ``"train"`` to see what batch norm and dropout do then.
        on_error: ``"partial"`` returns what ran before a failure, with :attr:`Trace.error`.

    Raises:
        InputSizeError: The size is missing or malformed.
        ForwardError: The forward pass failed; the message names the layer and its shapes.
    """
    model = checked_model(model)
    if inputs is not None:
        return _run(model, list(inputs), {}, mode=mode, on_error=on_error)[0]
    args, kwargs = example(model, input_size, dtype, batch=1)
    try:
        one, by_batch = _run(model, args, kwargs, mode=mode, on_error=on_error)
    except ForwardError:
        if mode != "train":
            raise
        one, by_batch = None, True  # batch norm refuses a single value per channel
    if one is not None and one.error is not None and mode == "train":
        one, by_batch = None, True
    if one is not None and not by_batch:
        return one
    args, kwargs = example(model, input_size, dtype, batch=2)
    two, _ = _run(model, args, kwargs, mode=mode, on_error=on_error)
    coupled = any(rf.batch_coupled for rf in two.outputs.values())
    return two if one is None or coupled else one


def _run(
    model: nn.Module,
    args: list[Any],
    kwargs: dict[str, Any],
    *,
    mode: str,
    on_error: str,
) -> tuple[Trace, bool]:
    """On meta tensors first; on real ones if that can't work.

    Returns:
        The trace, and whether statistics of the batch were used.
    """
    reason = "the model is TorchScript" if any(map(is_scripted, model.modules())) else ""
    if not reason:
        found, by_batch = _attempt(model, args, kwargs, mode=mode, fallback=None)
        if found.error is None:
            return found, by_batch
        e = found.error.exception
        reason = f"it can't run on tensors without numbers ({type(e).__name__}: {e})"
    found, by_batch = _attempt(model, args, kwargs, mode=mode, fallback=reason)
    if found.error is not None and on_error == "raise":
        raise failure_error(found.error) from found.error.exception
    return found, by_batch


def failure_error(failure: Failure) -> ForwardError:
    """The failure as an error that names the layer and the shapes it met."""
    shapes = ", ".join(str(s) for s in failure.input_sizes) or "no tensor"
    own = ", ".join(f"{k} {v}" for k, v in failure.parameter_shapes.items())
    where = (
        f"layer {failure.layer!r} ({failure.type_name})"
        if failure.layer
        else (f"{failure.type_name}.forward")
    )
    return ForwardError(
        f"The forward pass failed in {where}: it got {shapes}"
        f"{f' and has {own}' if own else ''}.\n  {type(failure.exception).__name__}: "
        f"{failure.exception}",
        "Compare the shapes; `eva summary` shows the layers up to this one.",
    )


def _attempt(
    model: nn.Module,
    args: list[Any],
    kwargs: dict[str, Any],
    *,
    mode: str,
    fallback: str | None,
) -> tuple[Trace, bool]:
    """One forward pass: on meta tensors, or for the reason ``fallback`` on real ones."""
    algebra = Algebra()
    error: Exception | None = None
    output: Any = None
    parameter = next(iter(model.parameters()), None)
    home = torch.device("cpu") if parameter is None else parameter.device
    device = torch.device("meta") if fallback is None else home
    with untouched(model), torch.no_grad():
        _unwrap_children(model)
        for module in model.modules():
            if module.training != (mode == "train"):
                module.training = mode == "train"
        numbers = stand_ins(model, meta=fallback is None)
        parameters = {id(p): name for name, p in model.named_parameters()}
        args = [placed(a, device) for a in args]
        kwargs = {k: placed(v, device) for k, v in kwargs.items()}
        named = [*named_tensors(args), *named_tensors(kwargs)]
        axes = source_states([t for _, t in named], algebra)
        recorder = Recorder(algebra, numbers, meta=fallback is None)
        try:
            with watched(model, recorder), recorder:
                if is_scripted(model):  # takes no hooks
                    recorder.begin("", model, (args, list(kwargs.values())))
                output = model(*args, **kwargs)
                if is_scripted(model):
                    recorder.end(output)
        except Exception as e:
            error = e
        if recorder.broken is not None:
            raise recorder.broken
        results = {n: recorder.seen(t)[0] for n, t in named_tensors(output)}
    context = Context(algebra=algebra, axes=axes, names=tuple(n for n, _ in named))
    found = Trace(
        calls=_calls(recorder.frames, context),
        ops=_ops(recorder, context),
        input_sizes={n: tuple(t.shape) for n, t in named},
        used_parameters=frozenset(parameters[i] for i in parameters.keys() & recorder.met),
        outputs={n: context.field(one) for n, one in results.items()},
        device_fallback=fallback,
        error=None if error is None else _failure(model, recorder, named, error),
    )
    return found, recorder.uses_batch_statistics


def _unwrap_children(model: nn.Module) -> None:
    """Compiled submodules run as they were written."""
    for module in list(model.modules()):
        if not is_scripted(module):
            for name, child in module._modules.items():
                inner = getattr(child, "_orig_mod", None)
                if isinstance(inner, nn.Module) and name != "_orig_mod":
                    module._modules[name] = inner


def _failure(
    model: nn.Module,
    recorder: Recorder,
    named: Sequence[tuple[str, torch.Tensor]],
    error: Exception,
) -> Failure:
    """Where it stopped: the innermost module that had begun and not ended."""
    at = recorder.stack[-1] if recorder.stack else 0
    frame = recorder.frames[at] if recorder.frames else None
    module = model if frame is None else frame.module
    sizes = tuple(tuple(t.shape) for _, t in named)
    return Failure(
        layer="" if frame is None else frame.name,
        type_name=type(module).__name__,
        call=at,
        input_sizes=sizes if frame is None else tuple(s for s, _ in frame.inputs),
        parameter_shapes={n: tuple(p.shape) for n, p in module.named_parameters(recurse=False)},
        exception=error,
    )


def _ops(recorder: Recorder, context: Context) -> tuple[OpCall, ...]:
    return tuple(
        OpCall(
            name=s.name,
            module=recorder.frames[s.call].name if recorder.frames else "",
            call=s.call,
            settings=s.settings,
            input_sizes=tuple(shape for shape, _ in s.inputs),
            output_sizes=tuple(shape for shape, _ in s.outputs),
            _context=context,
            _outputs=s.outputs,
        )
        for s in recorder.steps
    )


def _calls(frames: Sequence[Frame], context: Context) -> tuple[Call, ...]:
    times: dict[int, int] = {}
    calls = []
    for index, f in enumerate(frames):
        number = times.get(id(f.module), 0)
        times[id(f.module)] = number + 1
        calls.append(
            Call(
                name=f.name,
                type_name=type(f.module).__name__,
                module=f.module,
                depth=f.depth,
                parent=f.parent,
                index=index,
                call_number=number,
                input_sizes=tuple(s for s, _ in f.inputs),
                output_sizes=tuple(s for s, _ in f.outputs),
                ops=tuple(f.ops),
                _context=context,
                _outputs=f.outputs,
            )
        )
    return tuple(calls)
