"""What a unit sees, measured by gradients: the oracle, and the effective field of a real model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from eva.errors import ForwardError, InputSizeError
from eva.rf.gradients.linear import Linearize, linearized

Extent = tuple[int, int] | None  # first and last position, both included


def field(
    model: nn.Module,
    input_size: Sequence[int],
    layer: str | None = None,
    unit: Sequence[int] | None = None,
) -> tuple[Extent, ...]:
    """First and last input position, along each axis, with a gradient from one unit.

    Args:
        model: Any module; it is not changed.
        input_size: Size of the input without batch, such as ``(1, 28, 28)``.
        layer: Whose output is meant; the model's by default.
        unit: Index along the output's dimensions after batch and channel; the middle by default.

    Returns:
        (first, last) for each axis after the channels; ``None`` if nothing is seen.

    Raises:
        ForwardError: No such layer ran, or it returned no tensor.
    """
    mask = fields(model, input_size, layer, None if unit is None else [unit])[0]
    return hulls(mask)


def hulls(mask: Tensor) -> tuple[Extent, ...]:
    """First and last true position of a boolean map along each of its axes."""
    found: list[Extent] = []
    for axis in range(mask.ndim):
        others = [d for d in range(mask.ndim) if d != axis]
        line = mask.any(dim=others) if others else mask
        at = line.nonzero().flatten().tolist()
        found.append((at[0], at[-1]) if at else None)
    return tuple(found)


def fields(
    model: nn.Module,
    input_size: Sequence[int],
    layer: str | None = None,
    units: Sequence[Sequence[int]] | None = None,
) -> Tensor:
    """Where the input has a gradient from each of several units, in one backward pass.

    Args:
        model: Any module; it is not changed.
        input_size: Size of the input without batch.
        layer: Whose output is meant; the model's by default.
        units: Indices along the output's dimensions after batch and channel; the middle one by
            default.

    Returns:
        Boolean, (units, *spatial axes of the input).
    """
    twin = linearized(model)
    with Linearize():
        if units is None:
            shape = _output(twin, torch.ones(1, *input_size, dtype=torch.float64), layer).shape
            units = [tuple(n // 2 for n in shape[2:])]
        images = torch.ones(len(units), *input_size, dtype=torch.float64, requires_grad=True)
        output = _output(twin, images, layer)
        index = torch.tensor([list(u) for u in units], dtype=torch.int64).reshape(len(units), -1)
        chosen = _units(output, index)
    if not chosen.requires_grad:
        return torch.zeros(len(units), *input_size[1:], dtype=torch.bool)
    (gradient,) = torch.autograd.grad(chosen.sum(), images)
    seen = gradient != 0
    return seen.any(dim=1) if seen.ndim > 2 else seen


def _units(output: Tensor, index: Tensor) -> Tensor:
    """Element b: the sum over channels of unit ``index[b]`` of image b."""
    if output.ndim < 2:
        return output
    rows = torch.arange(output.shape[0])
    channels_last = output.movedim(1, -1)
    return channels_last[(rows, *index.unbind(1))].flatten(1).sum(1)


def _output(model: nn.Module, images: Tensor, layer: str | None) -> Tensor:
    """Output of a layer (its last call) for these images."""
    caught: list[Any] = []
    target = model if not layer else dict(model.named_modules()).get(layer)
    if target is None:
        raise ForwardError(
            f"The model has no layer {layer!r}.", "`model.named_modules()` lists the names."
        )
    handle = target.register_forward_hook(lambda _module, _args, out: caught.append(out))
    try:
        model(images)
    finally:
        handle.remove()
    if not caught:
        raise ForwardError(f"The layer {layer!r} did not run.", "Name a layer that forward() uses.")
    found = _first(caught[-1])
    if found is None:
        raise ForwardError(
            f"The layer {layer or type(model).__name__!r} returned no tensor.",
            "Name a layer whose output is a tensor.",
        )
    return found


def _first(value: Any) -> Tensor | None:
    if isinstance(value, Tensor):
        return value
    items = value.values() if isinstance(value, dict) else value
    if not isinstance(value, (dict, list, tuple)):
        return None
    return next((t for t in map(_first, items) if t is not None), None)


def effective_receptive_field(
    model: nn.Module,
    images: Tensor,
    layer: str | None = None,
    unit: Sequence[int] | None = None,
) -> Tensor:
    """How much each pixel really moves a unit of a real, trained model.

    The mean over images and channels of the gradient's magnitude, in eval mode. The theoretical
    field is where it can be other than zero; it is usually much smaller, and like a Gaussian.

    Args:
        model: A trained model; neither its mode nor its gradients are changed.
        images: (batch, channels, height, width), preprocessed as in training, on the model's
            device.
        layer: Whose output is meant; the model's by default.
        unit: (row, column) of the output, or one index a dimension after the channels; the middle
            one by default. All channels together.

    Returns:
        (height, width) float, scaled so that the largest value is 1; zero if nothing is seen.

    Raises:
        InputSizeError: The images are not a batch of maps, or there is no such unit.
        ForwardError: No such layer ran.

    References:
        Luo, Li, Urtasun, Zemel: Understanding the Effective Receptive Field in Deep Convolutional
        Neural Networks, NeurIPS 2016.
    """
    if images.ndim < 3 or not len(images):
        raise InputSizeError(
            f"Expected images (batch, channels, height, width), got {tuple(images.shape)}.",
            "Add the batch dimension: images[None].",
        )
    modes = [(m, m.training) for m in model.modules()]
    pixels = images.detach().clone().requires_grad_(True)
    try:
        model.eval()
        with torch.enable_grad():
            output = _output(model, pixels, layer)
            counts = tuple(output.shape[2:])
            at = tuple(n // 2 for n in counts) if unit is None else tuple(unit)
            if len(at) != len(counts) or any(
                not 0 <= i < n for i, n in zip(at, counts, strict=True)
            ):
                raise InputSizeError(
                    f"The output has {counts or 'one'} units, unit {at} is none of them.",
                    "Give one index for each dimension after batch and channels.",
                )
            chosen = output
            for i in at:
                chosen = chosen.select(2, i)
            (gradient,) = torch.autograd.grad(chosen.sum(), pixels)
    finally:
        for module, mode in modes:
            module.training = mode
    heat = gradient.abs().mean(dim=(0, 1))
    peak = heat.max()
    return heat / peak if peak > 0 else heat
