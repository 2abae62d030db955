"""Two images before training: does the model give scores, and which operations does it run?"""

from __future__ import annotations

import copy
import hashlib
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, resolve_name

from eva.data import Dataset, normalize, to_float
from eva.errors import ForwardError
from eva.seeds import seeded

IMAGES = 2  # one alone has no batch statistics
_HERE = Path(__file__).resolve().parents[1]


def try_out(
    model: nn.Module, data: Dataset, device: torch.device, layout: torch.memory_format
) -> str:
    """Run a copy of a model on two training images, in train and eval mode, before it is trained.

    The model and all random state are left as they are.

    Args:
        model: Should map (batch, 1, 28, 28) floats to (batch, classes) scores.
        data: What it will be trained on; its labels say how many classes there are.
        device: Where it will be trained.
        layout: Order of its maps in memory.

    Returns:
        A digest of the operations that ran, with their shapes and numbers, and of the names and
        shapes of the weights. It does not depend on the device or on the weights' values. It is
        empty for a model that can't be tried: it can't be copied, or memory is short.

    Raises:
        ForwardError: The model raised, or its scores are not those of a classifier; the message
            says what came, and names the layer.
    """
    try:
        copied = copy.deepcopy(model).to(device, memory_format=layout)  # type: ignore[call-overload]
    except Exception:  # whatever its attributes say to being copied
        return ""
    images = normalize(to_float(data.train_images[:IMAGES].to(device)))
    classes = 1 + int(max(data.train_labels.max(), data.test_labels.max()))
    seen = _Operations()
    for name, value in copied.state_dict().items():
        seen.lines.append(f"{name} {_describe(value)}")
    for training in (True, False):
        mode = f"{'train' if training else 'eval'} mode"
        copied.train(training)
        try:
            with seeded(device, 0), torch.no_grad(), _layer_in_errors(copied, mode), seen:
                scores = copied(images)
        except torch.OutOfMemoryError:  # the training says what to do
            return ""
        _require_scores(scores, classes, mode)
    return hashlib.sha256("\n".join(seen.lines).encode()).hexdigest()


class _Operations(TorchFunctionMode):
    """Writes down the functions of PyTorch that a model calls, and what it gives them."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        name = resolve_name(function) or getattr(function, "__name__", "?")
        self.lines.append(f"{name} {_describe(args)} {_describe(kwargs or {})}")
        return function(*args, **(kwargs or {}))


def _describe(value: object) -> str:
    """What an argument is, without the numbers in a tensor, the device, or a place in memory."""
    match value:
        case Tensor():
            return f"{value.dtype}{tuple(value.shape)}"
        case tuple() | list():
            return f"[{', '.join(map(_describe, value))}]"
        case dict():
            return f"[{', '.join(f'{key}={_describe(part)}' for key, part in value.items())}]"
        case bool() | int() | float() | str() | None | torch.dtype() | slice():
            return repr(value)
        case _:
            return type(value).__name__


@contextmanager
def _layer_in_errors(model: nn.Module, mode: str) -> Iterator[None]:
    """Turn whatever a forward pass raises into a ForwardError that names layer and input."""
    inside: list[str] = []
    handles = []
    for name, module in model.named_modules():
        label = f"{name} ({type(module).__name__})" if name else type(module).__name__

        def enter(_: nn.Module, inputs: tuple[Any, ...], label: str = label) -> None:
            shapes = [tuple(value.shape) for value in inputs if isinstance(value, Tensor)]
            inside.append(f"layer {label}, which got {', '.join(map(str, shapes)) or 'no tensor'}")

        def leave(_: nn.Module, inputs: object, output: object) -> None:
            inside.pop()

        handles += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (Exception, SystemExit) as error:
        text = (str(error).strip().splitlines() or [""])[0]
        where = f" in {inside[-1]}" if inside else ""
        raise ForwardError(
            f"the network can't run on a batch of {IMAGES} images in {mode}: "
            f"{type(error).__name__}{where}: {text}",
            _own_line(error) or "`eva check` says more, and `eva summary` shows every layer.",
        ) from error
    finally:
        for handle in handles:
            handle.remove()


def _own_line(error: BaseException) -> str | None:
    """The last line of a traceback that is neither PyTorch's nor ours."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        ours = _HERE in path.resolve().parents and path.parent.name != "experiments"
        if frame.line and not ours and "site-packages" not in path.parts:
            return f'File "{frame.filename}", line {frame.lineno}: {frame.line}'
    return None


def _require_scores(scores: object, classes: int, mode: str) -> None:
    """Refuse what is not (images, classes) finite floats."""
    if not isinstance(scores, Tensor):
        hint = "Return the scores alone."
        if scores is None:
            hint = "Does forward() end with `return`?"
        raise ForwardError(
            f"in {mode} the network gives a {type(scores).__name__}, not one tensor of scores.",
            hint,
        )
    expected, found = (IMAGES, classes), tuple(scores.shape)
    if found != expected:
        raise ForwardError(
            f"{IMAGES} images should give {expected} scores, one for each class, but in {mode} the "
            f"network gives {found}.",
            _hint_for_shape(found, classes),
        )
    if not scores.is_floating_point():
        raise ForwardError(f"scores are floats, but in {mode} the network gives {scores.dtype}.")
    bad = int((~scores.isfinite()).sum())
    if bad:
        raise ForwardError(
            f"{bad} of {scores.numel()} scores of the first {IMAGES} images are NaN or infinite "
            f"in {mode}.",
            "Look for a division by zero, a log of zero or a square root of a negative number.",
        )


def _hint_for_shape(found: tuple[int, ...], classes: int) -> str:
    if len(found) == 2 and found[0] == IMAGES:
        return f"Let the last layer have {classes} outputs, for the digits 0 to {classes - 1}."
    if len(found) == 4 and found[:2] == (IMAGES, classes):
        return "Flatten the last map: `.flatten(1)`, after a global average pooling."
    if found in ((classes,), (IMAGES * classes,)):
        return f"Keep the batch as the first axis: `.flatten(1)`, or `.view(-1, {classes})`."
    if len(found) == 2:
        return (
            "The batch changed its size: a `view` or `reshape` takes numbers of one image for "
            "another's. Write `x.flatten(1)`."
        )
    return "`eva summary` shows the shape after every layer."
