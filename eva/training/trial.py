"""A batch before training: does the model give scores, can it learn, what does it run?"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter
from torch.overrides import TorchFunctionMode, resolve_name

from eva.builder import place_of, their_frames
from eva.data import Dataset, to_float
from eva.errors import ForwardError, message_line
from eva.kernels.memory_format import FASTEST_FIRST
from eva.seeds import seeded
from eva.training.evaluation import BATCH


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What was found out about a model.

    Attributes:
        layout: The order of its maps in memory that it is trained with: the fastest that it runs
            with.
        network: Digest of the operations that ran, with their shapes and numbers, and of the names
            and shapes of the weights. It does not depend on the device or on the weights' values.
            Empty for a model that can't be tried: it can't be copied, or memory is short.
    """

    layout: torch.memory_format
    network: str


def try_model(model: nn.Module, data: Dataset, batch_size: int, device: torch.device) -> Trial:
    """Run a copy of a model as it will be trained and tested, before it is.

    The model and all random state are left as they are.

    Args:
        model: Should map (batch, channels, height, width) floats to (batch, classes) scores.
        data: What it will be trained on; its labels say how many classes there are.
        batch_size: Images a step. The last, smaller batch of an epoch is tried too.
        device: Where it will be trained.

    Raises:
        ForwardError: The model raised, or its scores are not those of a classifier, or nothing can
            be learned from them; the message says what came, and names the layer.
    """
    _require_weights(model)
    for layout in FASTEST_FIRST:
        try:
            return Trial(layout=layout, network=_run(model, data, batch_size, device, layout))
        except ForwardError:
            if layout is FASTEST_FIRST[-1]:
                raise
        except torch.OutOfMemoryError:  # the training says what to do
            break
    return Trial(layout=FASTEST_FIRST[0], network="")


def _run(
    model: nn.Module,
    data: Dataset,
    batch_size: int,
    device: torch.device,
    layout: torch.memory_format,
) -> str:
    """Run a copy on the first and the last batch of an epoch and one of a test; the digest."""
    try:
        copied = copy.deepcopy(model).to(device, memory_format=layout)  # type: ignore[call-overload]
    except torch.OutOfMemoryError:
        raise
    except Exception:  # whatever its attributes say to being copied
        return ""
    seen = _Operations()
    for name, value in copied.state_dict().items():
        seen.lines.append(f"{name} {_describe(value)}")
    total = len(data.train_labels)
    whole = min(batch_size, total)
    for training, size in (
        (True, whole),
        (True, total % whole or whole),
        (False, min(BATCH, total)),
    ):
        images = data.normalize(to_float(data.train_images[:size].to(device)))
        labels = data.train_labels[:size].to(device)
        _try_batch(copied, images, labels, data.classes, training, seen)
    return hashlib.sha256("\n".join(seen.lines).encode()).hexdigest()


def _try_batch(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    classes: int,
    training: bool,
    seen: _Operations,
) -> None:
    """Run a batch forward and, in training, backward."""
    mode = "train mode" if training else "eval mode"
    model.train(training)
    with seeded(images.device, 0), torch.set_grad_enabled(training):
        with _layer_in_errors(model, len(images), mode), seen:
            scores = model(images)
        _require_scores(scores, len(images), classes, mode)
        if training:
            _require_gradients(F.cross_entropy(scores.float(), labels))


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
def _layer_in_errors(model: nn.Module, size: int, mode: str) -> Iterator[None]:
    """Turn whatever a forward pass raises into a ForwardError that names layer and input."""
    inside: list[str] = []
    handles = []
    for name, module in model.named_modules():
        label = f"layer {name} ({type(module).__name__})" if name else "forward()"

        def enter(_: nn.Module, inputs: tuple[Any, ...], label: str = label) -> None:
            shapes = [str(tuple(value.shape)) for value in inputs if isinstance(value, Tensor)]
            inside.append(f"{label}, which got {', '.join(shapes) or 'no tensor'}")

        def leave(_: nn.Module, inputs: object, output: object) -> None:
            inside.pop()

        handles += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (Exception, SystemExit) as error:
        text = message_line(error)
        where = inside[-1] if inside else "forward()"
        raise ForwardError(
            f"a batch of {size} images in {mode} raised {type(error).__name__} in {where}: {text}",
            _hint_for_error(error, model),
        ) from error
    finally:
        for handle in handles:
            handle.remove()


def _hint_for_error(error: BaseException, model: nn.Module) -> str:
    """The student's own line, and what to do where the mistake is a known one."""
    text = str(error)
    lines = [place_of(frame) for frame in their_frames(error) if frame.line][-1:]
    dtypes = {p.dtype for p in model.parameters()} - {torch.float32}
    if any(word in text for word in ("NVIDIA", "CUDA", "same device")):
        lines.append("Leave .cuda() and .to(device) out of the network: the trainer moves it.")
    elif "numpy()" in text:
        lines.append("NumPy can't be learned through: use PyTorch's functions in forward().")
    elif dtypes:
        lines.append("Leave .half() and .double() out of the network: images are float32.")
    elif "Expected more than 1 value per channel" in text:
        lines.append("The last batch of an epoch has one image: choose another batch_size.")
    return "\n  ".join(lines) or "`eva summary` shows the shape after every layer."


def _require_weights(model: nn.Module) -> None:
    """Refuse lazy layers: copies of the model would each draw weights of their own."""
    for name, parameter in model.named_parameters():
        if isinstance(parameter, UninitializedParameter):
            raise ForwardError(
                f"{name} has no size yet: its layer is a lazy one.",
                "Write the number of inputs: nn.Conv2d(1, 8, 3) in place of nn.LazyConv2d(8, 3).",
            )


def _require_scores(scores: object, size: int, classes: int, mode: str) -> None:
    """Refuse what is not (size, classes) finite floats."""
    if not isinstance(scores, Tensor):
        hint = "Does forward() end with `return`?" if scores is None else "Return the scores alone."
        raise ForwardError(
            f"in {mode} the network gives a {type(scores).__name__}, not one tensor of scores.",
            hint,
        )
    expected, found = (size, classes), tuple(scores.shape)
    if found != expected:
        raise ForwardError(
            f"{size} images should give {expected} scores, one for each class, but in {mode} the "
            f"network gives {found}.",
            _hint_for_shape(found, size, classes),
        )
    if not scores.is_floating_point():
        raise ForwardError(f"scores are floats, but in {mode} the network gives {scores.dtype}.")
    bad = int((~scores.isfinite()).sum())
    if bad:
        raise ForwardError(
            f"{bad} of the {scores.numel()} scores of {size} images are NaN or infinite in {mode}.",
            "Look for a division by zero, a log of zero or a square root of a negative number.",
        )


def _hint_for_shape(found: tuple[int, ...], size: int, classes: int) -> str:
    if len(found) == 2 and found[0] == size:
        kind = "digits" if classes == 10 else "classes"
        return f"Let the last layer have {classes} outputs, for the {kind} 0 to {classes - 1}."
    if len(found) == 4 and found[:2] == (size, classes):
        return "Flatten the last map: `.flatten(1)`, after a global average pooling."
    if found in ((classes,), (size * classes,)):
        return f"Keep the batch as the first axis: `.flatten(1)`, or `.view(-1, {classes})`."
    if found == (size,):
        return "Return the score of every class, not the class itself: leave argmax out."
    if len(found) == 2:
        return (
            "The batch changed its size: a `view` or `reshape` takes numbers of one image for "
            "another's. Write `x.flatten(1)`."
        )
    return "`eva summary` shows the shape after every layer."


def _require_gradients(loss: Tensor) -> None:
    """Refuse a loss that no weight can learn from."""
    if not loss.requires_grad:
        raise ForwardError(
            "nothing can be learned: the scores do not depend on any weight in a way that PyTorch "
            "can differentiate.",
            "Leave .detach(), .item(), .numpy(), torch.no_grad() and argmax out of forward().",
        )
    try:
        loss.backward()  # type: ignore[no-untyped-call]
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        text = message_line(error).partition(" Hint: ")[0]
        hint = "Does forward() change a value in place (`+=`, `relu_`, `inplace=True`)?"
        raise ForwardError(
            f"the backward pass raised {type(error).__name__}: {text}",
            hint if "inplace" in text else None,
        ) from error
