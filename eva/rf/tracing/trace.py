"""Run a model once, on tensors without numbers, and say what every layer sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import nn

from eva.errors import ForwardError
from eva.rf.algebra import LOST, Algebra
from eva.rf.field import ReceptiveField
from eva.rf.tracing.calls import Call, Context, Failure, OpCall, Trace
from eva.rf.tracing.functions import Functions
from eva.rf.tracing.inputs import (
    Arguments,
    Dtype,
    Inputs,
    Size,
    arguments,
    checked_model,
    has_lazy_layers,
    materialized,
    placed,
    sizes_in,
)
from eva.rf.tracing.isolate import (
    collector_paused,
    is_scripted,
    stand_ins,
    untouched,
    watched,
)
from eva.rf.tracing.recorder import Frame, Recorder, Source
from eva.rf.tracing.structure import named_tensors

SHORT = 400  # operations of a pass that is run again for a mere suspicion


def receptive_field(
    model: nn.Module,
    input_size: Size | None = None,
    *,
    layer: str | None = None,
    source: str | None = None,
    inputs: Inputs | None = None,
    dtype: Dtype | None = None,
) -> ReceptiveField:
    """What one unit of a layer's output sees of the input, or of another layer's output.

    Args:
        model: Any module.
        input_size: Size of one input, with or without batch: see :func:`trace`.
        layer: Name of a layer, such as ``"features.9"``; the output by default.
        source: Name of a layer whose output is looked at, in place of the model's input.
        inputs: Example arguments, batch included, instead of sizes.
        dtype: Type of the inputs; that of the first parameter by default.

    Raises:
        InputSizeError: The size is missing or malformed.
        ForwardError: The forward pass failed, or no such layer ran.

    Example:
        How much of the first pool's map one unit of the second convolution sees::

            receptive_field(model, (1, 28, 28), layer="conv2", source="pool1").size
    """
    return trace(model, input_size, inputs=inputs, dtype=dtype, source=source).field(layer)


@collector_paused()
def trace(
    model: nn.Module,
    input_size: Size | None = None,
    *,
    inputs: Inputs | None = None,
    dtype: Dtype | None = None,
    mode: Literal["eval", "train"] = "eval",
    on_error: Literal["raise", "partial"] = "raise",
    source: str | None = None,
) -> Trace:
    """Run a model once on tensors without numbers, and follow what every tensor sees.

    The model is left as it was found; it is neither moved nor copied, unless it has lazy layers:
    then a copy runs, with the shapes that the input gives them (:attr:`Trace.model`).

    A size may have the batch in front or not. The model decides: without the batch is tried first,
    ``(1, 28, 28)`` as one image of 28 x 28 pixels; then with it, and :attr:`Trace.notes` says so.

    Args:
        model: Any module.
        input_size: Size of one input, such as ``(1, 28, 28)`` or ``(1, 3, 224, 224)``; an example
            tensor; a list of these for several inputs; or a dict from the names of forward's
            arguments to sizes, tensors and flags.
        inputs: Example arguments for forward, batch included, instead of sizes: a list, a tensor,
            or a dict from the names of forward's arguments.
        dtype: Type of the tensors made for sizes: one for all, a list, or a dict by name. By
            default it is that of the first parameter.
        mode: ``"eval"``, or ``"train"`` to see what batch norm and dropout do then.
        on_error: ``"partial"`` returns what ran before a failure, with :attr:`Trace.error`.
        source: Name of a layer: fields are then those in its output (of its first call), in place
            of the model's input.

    Raises:
        InputSizeError: The size is missing or malformed.
        ForwardError: The forward pass failed; the message names the layer and its shapes.
    """
    model = checked_model(model)
    sizes = [] if inputs is not None else sizes_in(input_size)
    batches: list[int | None] = [1, None] if sizes and all(len(s) > 1 for s in sizes) else [1]
    readings = [arguments(model, input_size, inputs, dtype, batch) for batch in batches]
    if has_lazy_layers(model):
        model = materialized(model, readings)
    if source is not None and source not in dict(model.named_modules()):
        raise ForwardError(
            f"The model has no layer {source!r}.", "`model.named_modules()` lists the names."
        )
    one, reading = _first_that_runs(model, readings, mode, on_error, source)
    if one.error is not None:
        return one
    if reading == 1:
        note = f"The size {_listed(sizes)} was read with the batch first."
        one = replace(one, notes=(*one.notes, note))
    elif any(s[0] == 1 and len(s) != 3 for s in sizes):
        note = f"The size {_listed(sizes)} was read without a batch: one was put in front."
        one = replace(one, notes=(*one.notes, note))
    if not sizes or not one.may_couple:
        return one
    two = _with_two_images(model, readings[reading], mode, source, one.device_fallback)
    coupled = two is not None and any(rf.batch_coupled for rf in two.outputs.values())
    return replace(two, notes=one.notes) if two is not None and coupled else one


def _listed(sizes: Sequence[tuple[int, ...]]) -> str:
    return ", ".join(str(s) for s in sizes)


def _first_that_runs(
    model: nn.Module,
    readings: Sequence[Arguments],
    mode: str,
    on_error: str,
    source: str | None,
) -> tuple[Trace, int]:
    """The first reading of the sizes that runs: on meta tensors, or else on real ones.

    Returns:
        The trace, and the number of its reading; of those that all failed, the one that came
        farthest.
    """
    options: dict[str, Any] = {"mode": mode, "source": source}
    reasons = ["the model is TorchScript"] * len(readings)
    scripted = any(map(is_scripted, model.modules()))
    failed: list[Trace] = []
    for number, (args, kwargs) in enumerate(readings):
        if not scripted:
            found = _attempt(model, args, kwargs, fallback=None, **options)
            if found.error is None:
                return found, number
            e = found.error.exception
            reasons[number] = f"it can't run on tensors without numbers ({type(e).__name__}: {e})"
        found = _attempt(model, args, kwargs, fallback=reasons[number], **options)
        if found.error is None:
            return found, number
        failed.append(found)
    best = max(range(len(failed)), key=lambda i: len(failed[i].calls))
    if mode == "train":  # batch norm refuses a single value per channel
        two = _with_two_images(model, readings[best], mode, source, reasons[best])
        if two is not None:
            return replace(two, may_couple=False), best
    error = failed[best].error
    if error is not None and on_error == "raise":
        raise failure_error(error) from error.exception
    return failed[best], best


def _with_two_images(
    model: nn.Module,
    reading: Arguments,
    mode: str,
    source: str | None,
    reason: str | None,
) -> Trace | None:
    """A trace with a batch of two, to see whether images meet; ``None`` if that can't run."""
    args, kwargs = reading
    doubled = [_doubled(a) for a in args], {k: _doubled(v) for k, v in kwargs.items()}
    for fallback in dict.fromkeys((None, reason)):
        if fallback is None and any(map(is_scripted, model.modules())):
            continue
        found = _attempt(model, *doubled, mode=mode, source=source, fallback=fallback)
        if found.error is None:
            return found
    return None


def _doubled(value: Any) -> Any:
    """A tensor made for a size, with two images in place of one."""
    if isinstance(value, torch.Tensor) and value.device.type == "meta" and value.shape[0] == 1:
        return value.new_empty((2, *value.shape[1:]))
    return value


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
    source: str | None,
    fallback: str | None,
) -> Trace:
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
        own = stand_ins(model, meta=fallback is None)
        parameters = {id(p): name for name, p in model.named_parameters()}
        args = placed(args, device)
        kwargs = placed(kwargs, device)
        named = [*named_tensors(args), *named_tensors(kwargs)]
        recorder = Recorder(algebra, own, meta=fallback is None)
        seen = Source(model, source, algebra)
        if source is None:
            seen.begin(named)
            for _, tensor in named:
                recorder.remember(tensor)
        try:
            with watched(model, recorder, seen.after), Functions(recorder), recorder:
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
    context = Context(algebra=algebra, axes=seen.axes, names=seen.names)
    return Trace(
        calls=_calls(recorder.frames, context),
        ops=_ops(recorder, context),
        input_sizes={n: tuple(t.shape) for n, t in named},
        used_parameters=frozenset(parameters[i] for i in parameters.keys() & recorder.met),
        outputs={n: context.field(one) for n, one in results.items()},
        device_fallback=fallback,
        error=None if error is None else _failure(model, recorder, named, error),
        model=model,
        may_couple=(recorder.ambiguous and len(recorder.steps) <= SHORT)
        or any(
            state is not None and state.batch == LOST
            for step in recorder.steps
            for _, state in step.outputs
        ),
        given=(args, kwargs),
        source=source,
    )


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
