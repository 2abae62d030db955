"""The model and the tensors that a trace runs it on."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import UninitializedBuffer, is_lazy

from eva.builder import built
from eva.errors import ForwardError, InputSizeError, SubmissionError
from eva.rf.tracing.structure import named_tensors

Size = Sequence[int] | Sequence[Any] | Mapping[str, Any] | torch.Tensor
Inputs = Sequence[Any] | Mapping[str, Any] | torch.Tensor
Dtype = torch.dtype | Sequence[torch.dtype | None] | Mapping[str, torch.dtype]
Arguments = tuple[list[Any], dict[str, Any]]


def checked_model(model: Any) -> nn.Module:
    """The module itself, compiled ones unwrapped; a function or class that builds one is called.

    Raises:
        ForwardError: Not a module.
    """
    if callable(model):
        try:
            model = built(model)
        except SubmissionError as error:
            raise ForwardError(f"Expected a module: {error.problem}", error.hint) from error
    if not isinstance(model, nn.Module):
        raise ForwardError(
            f"Expected a torch.nn.Module, got {type(model).__name__}.",
            "Pass the model itself, not its output or its state dict.",
        )
    inner = getattr(model, "_orig_mod", None)
    found: nn.Module = inner if isinstance(inner, nn.Module) else model
    return found


def has_lazy_layers(model: nn.Module) -> bool:
    """Whether some parameter or buffer has no shape before the model has run."""
    return any(
        tensor is not None and is_lazy(tensor)
        for layer in model.modules()
        for tensor in (*layer._parameters.values(), *layer._buffers.values())
    )


def materialized(model: nn.Module, readings: Sequence[Arguments]) -> nn.Module:
    """A copy of a model in which lazy layers have the shapes that these arguments give them.

    Args:
        model: Has lazy layers; it is not changed.
        readings: Arguments for forward; the first that work decide.

    Raises:
        ForwardError: The forward pass failed with all of them.
    """
    error: Exception | None = None
    for args, kwargs in readings:
        shapeless: dict[int, Any] = {  # PyTorch can't copy these buffers
            id(b): UninitializedBuffer() for b in model.buffers() if is_lazy(b)
        }
        twin = copy.deepcopy(model, shapeless).eval()
        cpu = torch.device("cpu")
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                twin(*placed(args, cpu), **placed(kwargs, cpu))
        except Exception as e:
            error = error or e
            continue
        for one, was in zip(twin.modules(), model.modules(), strict=False):
            one.training = was.training
        return twin
    raise ForwardError(
        f"The model has lazy layers, and running it once to find their shapes failed.\n  "
        f"{type(error).__name__}: {error}",
        "Check the input size, or run the model once on a real batch before.",
    ) from error


def is_size(value: Any) -> bool:
    """Whether it is a list or tuple of whole numbers, such as ``(1, 28, 28)``."""
    return (
        isinstance(value, (list, tuple))
        and len(value) > 0
        and all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in value)
    )


def sizes_in(input_size: Any) -> list[tuple[int, ...]]:
    """The sizes among what was given as such; tensors and flags are left out."""
    if is_size(input_size):
        return [tuple(map(int, input_size))]
    parts = list(input_size.values()) if isinstance(input_size, Mapping) else input_size
    if not isinstance(parts, (list, tuple)):
        return []
    return [tuple(map(int, p)) for p in parts if is_size(p)]


def arguments(
    model: nn.Module,
    input_size: Size | None,
    inputs: Inputs | None,
    dtype: Dtype | None,
    batch: int | None,
) -> Arguments:
    """Arguments of forward: tensors as given, meta tensors for sizes.

    Args:
        model: Its first parameter decides the dtype if none is given.
        input_size: A size, a tensor, several of them, or a dict from the names of forward's
            arguments to sizes, tensors and flags.
        inputs: Example arguments instead: a list, a dict by name, or one tensor or object. A dict
            none of whose keys is a name of forward's is one argument itself.
        dtype: Type of the tensors made for sizes: one for all, or one for each input.
        batch: Images to put in front of each size; None where the sizes have the batch already.

    Raises:
        InputSizeError: Nothing was given, or something that is no size.
    """
    if inputs is not None:
        if isinstance(inputs, Mapping):
            return _named(model, dict(inputs), inputs)
        several = isinstance(inputs, (list, tuple)) and not hasattr(inputs, "_fields")
        return (list(inputs) if several else [inputs]), {}
    if input_size is None:
        raise InputSizeError(
            "The input size is missing.",
            "Give the size of one input, such as (1, 28, 28), or example tensors.",
        )
    if isinstance(input_size, torch.Tensor):
        return [input_size], {}
    default = next(
        (p.dtype for p in model.parameters() if not is_lazy(p) and p.is_floating_point()),
        torch.get_default_dtype(),
    )

    def make(value: Any, key: int | str, several: bool) -> Any:
        if several and (isinstance(value, (torch.Tensor, bool, str, int, float)) or value is None):
            return value
        if not is_size(value) or min(value) < 1:
            raise InputSizeError(
                f"An input size is a tuple of positive whole numbers; got {value!r}.",
                "Example: (1, 28, 28) for one channel of 28 x 28 pixels.",
            )
        size = [int(n) for n in value] if batch is None else [batch, *map(int, value)]
        return torch.empty(size, dtype=_dtype(dtype, key) or default, device="meta")

    if isinstance(input_size, Mapping):
        made = {name: make(value, name, True) for name, value in input_size.items()}
        return _named(model, made, made)
    several = isinstance(input_size, (list, tuple)) and any(
        isinstance(part, (list, tuple, torch.Tensor)) for part in input_size
    )
    if several:
        return [make(part, number, True) for number, part in enumerate(input_size)], {}
    return [make(input_size, 0, False)], {}


def _named(model: nn.Module, given: dict[str, Any], whole: Any) -> Arguments:
    """Arguments by name, if forward has such names; else one argument that is a mapping."""
    try:
        known = inspect.signature(model.forward).parameters
    except (TypeError, ValueError):  # of TorchScript, say
        return [], given
    any_name = any(p.kind is p.VAR_KEYWORD for p in known.values())
    takes = any_name or not known or any(name in known for name in given)
    return ([], given) if takes or not given else ([whole], {})


def _dtype(dtype: Dtype | None, key: int | str) -> torch.dtype | None:
    """The dtype of one input."""
    if dtype is None or isinstance(dtype, torch.dtype):
        return dtype
    if isinstance(dtype, Mapping):
        return dtype.get(str(key))
    if isinstance(key, int) and key < len(dtype):
        return dtype[key]
    raise InputSizeError(
        f"There are {len(dtype)} dtypes, and none for input {key!r}.",
        "Give one dtype for all inputs, or one for each: a list, or a dict by name.",
    )


def _placed_inside(value: Any, device: torch.device, made: dict[int, Any]) -> Any:
    """A copy of a mapping or an object with its tensors there; itself if it can't be copied."""
    if id(value) in made:
        return made[id(value)]
    try:
        twin = made[id(value)] = copy.copy(value)
        if isinstance(value, MutableMapping):
            for key in value:
                twin[key] = placed(value[key], device, made)
        else:
            for key, part in vars(value).items():
                object.__setattr__(twin, key, placed(part, device, made))
    except Exception:
        return value
    return twin


def placed(value: Any, device: torch.device, made: dict[int, Any] | None = None) -> Any:
    """Fresh tensors of the same sizes there, lists and dicts kept.

    Random numbers where none were given; whole numbers are zero then. Objects that hold tensors
    are copied, with the fresh tensors in place of theirs.

    Args:
        value: A tensor, or anything that may hold some.
        device: Where to.
        made: The copies of objects so far, for one may hold another that holds it.
    """
    made = {} if made is None else made
    if isinstance(value, (list, tuple)):
        parts = [placed(v, device, made) for v in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if type(value) is dict:
        return {k: placed(v, device, made) for k, v in value.items()}
    if not isinstance(value, torch.Tensor):
        return _placed_inside(value, device, made) if named_tensors(value) else value
    if device.type == "meta":
        return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")
    if value.device.type == "meta":
        if value.is_floating_point():
            return torch.rand(value.shape, dtype=value.dtype, device=device)
        return torch.zeros(value.shape, dtype=value.dtype, device=device)
    return value.detach().to(device).clone()
