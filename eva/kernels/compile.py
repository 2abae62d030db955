"""Which way a training step is computed: as PyTorch runs a network, or compiled.

:func:`choose_path` decides by the network, the machine and the length of the training alone, so two
trainings of one network on one machine go the same way.

PyTorch's compiler lists the operations of a network, and its Inductor compiles what our kernels do
not take whole. Where they do, Inductor adds 6 to 15 s of processor time to the first step and saves
nothing that a shared machine shows (docs/records/benchmarks/inductor.json), so it is left out.
"""

from __future__ import annotations

import shutil
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from eva.errors import DeviceError, message_line
from eva.kernels.cpu_dispatch import (
    CPU_CHANNELS,
    IMAGES,
    fits_cpu_kernel,
    use_batch_last,
    why_not_here,
)
from eva.kernels.cpu_kernels import compiler
from eva.kernels.folding import fold
from eva.kernels.targets import name_calls
from eva.module_state import unchanged
from eva.seeds import seeded

Compiled = Callable[..., Any]
Forward = Callable[[Tensor], Tensor]

MODES = ("auto", "on", "off")
REPAID = 300_000  # images in all epochs from which a compiled training ends first, compiling too
TOLERANCE = 0.01  # of the gradients' norm, between a step and the same one compiled


@dataclass(frozen=True, kw_only=True)
class Path:
    """How a training step runs the network.

    Attributes:
        forward: Maps (batch, 1, height, width) to scores.
        compiled: Whether it is not the model itself.
        why: A line for people and the record.
    """

    forward: Forward
    compiled: bool
    why: str


def require_mode(mode: str) -> None:
    """Refuse what is no mode of :func:`choose_path`.

    Raises:
        DeviceError: It is none.
    """
    if mode not in MODES:
        raise DeviceError(
            f"a training is compiled auto, on or off, got {mode!r}.",
            "Leave --compile out for auto.",
        )


def choose_path(
    model: nn.Module, images: Tensor, *, mode: str, total: int, bf16: bool = False
) -> Path:
    """Choose how a network is trained; a step is tried first, and nothing of it stays.

    Args:
        model: On its device, as it will be trained.
        images: A batch of the training, (batch, 1, height, width), on the same device.
        mode: "on" and "off" insist. "auto" compiles on a CPU where a training of ``total`` images
            repays it, eva's kernels take the whole network, and the step that is tried gives the
            gradients that it gives without.
        total: Images that the training sees, each as often as it sees it.
        bf16: Whether the forward pass runs in bfloat16 autocast.

    Raises:
        DeviceError: There is no such mode, or it is "on" and the network can't be compiled here.
    """
    require_mode(mode)
    if mode == "off":
        return Path(forward=model, compiled=False, why="Plain, as asked.")
    if mode == "on":
        forward = compile_model(model, len(images))
        try:
            _step(model, forward, images, bf16)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # whatever PyTorch's many layers raise
            raise DeviceError(
                f"this network can't be compiled: {_first_line(error)}",
                "Train with --compile auto or off.",
            ) from error
        return Path(forward=forward, compiled=True, why="Compiled, as asked.")
    why = _why_plain(images, total, bf16)
    if why is None:
        ours: list[bool] = []
        try:
            forward = compile_model(model, len(images), ours)
            why = _why_unlike(model, forward, images, ours)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # as above
            why = f"compiling failed: {_first_line(error)}"
        if why is None:
            return Path(
                forward=forward, compiled=True, why="Compiled: eva's kernels take this network."
            )
    return Path(forward=model, compiled=False, why=f"Plain: {why}")


def compile_model(model: nn.Module, batch_size: int, ours: list[bool] | None = None) -> Forward:
    """Compile a model; its BatchNorms are folded, and small convolutions are ours, where they can.

    Args:
        model: Maps (batch, ...) to anything.
        batch_size: What it is compiled for. A batch of another size goes to the model itself: to
            compile again for the last, smaller one of an epoch takes longer than that batch.
        ours: Is told of each part that PyTorch's compiler sees, when it does, whether eva's kernels
            take it. A part that they don't is left as it is then, and not compiled.

    Raises:
        DeviceError: There is no C++ compiler.
    """
    if sys.platform != "win32" and shutil.which(compiler()) is None:
        raise DeviceError(
            f"compiling a model takes a C++ compiler, and there is no {compiler()} here.",
            "Install one, name another with CXX, or train with --compile off.",
        )

    def backend(module: fx.GraphModule, inputs: Sequence[Tensor]) -> Compiled:
        name_calls(module)
        fits = fits_cpu_kernel(module)  # asked first: operations that folding adds tell no shapes
        if ours is not None:
            ours.append(fits)
            if not fits:
                return module.forward
        if fits:
            use_batch_last(module)
            return module.forward
        fold(module)
        inductor: Callable[..., Compiled] = torch._dynamo.lookup_backend("inductor")
        return inductor(module, inputs)

    # Models of one class share a limit of compilations in a process, beyond which none is compiled.
    torch._dynamo.reset()
    compiled = torch.compile(model, backend=backend, dynamic=False)

    def forward(images: Tensor) -> Tensor:
        scores: Tensor = (compiled if len(images) == batch_size else model)(images)
        return scores

    return forward


def _why_plain(images: Tensor, total: int, bf16: bool) -> str | None:
    """What speaks against compiling before anything is tried, the cheapest first."""
    if images.device.type != "cpu":
        return "networks are compiled for a CPU."
    if bf16:
        return "eva's kernels are for float32."
    if total < REPAID:
        return (
            f"compiling repays itself from {REPAID:,} images on, and this training sees {total:,}."
        )
    return why_not_here()


def _why_unlike(model: nn.Module, forward: Forward, images: Tensor, ours: list[bool]) -> str | None:
    """Try a step compiled and plain: why the former won't do, or None."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fast = _step(model, forward, images)
    if ours != [True]:
        return (
            f"eva's kernels are for networks without branches in Python, of up to {CPU_CHANNELS} "
            f"channels, windows of 1, 3 or 5 pixels, stride 1, and batches of {IMAGES} or its "
            "multiples."
        )
    plain = _step(model, model, images)
    again = _step(model, model, images, seed=1)
    if torch.equal(plain, again) and not (fast - plain).norm() <= TOLERANCE * plain.norm():
        return "compiled, its gradients are others."
    return None


def _step(
    model: nn.Module, forward: Forward, images: Tensor, bf16: bool = False, seed: int = 0
) -> Tensor:
    """All gradients of a step, as one row of numbers; buffers and random state are put back."""
    weights = [value for value in model.parameters() if value.requires_grad]
    try:
        with unchanged(model), seeded(images.device, seed):
            model.train()
            with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
                scores = forward(images)
            scores.float().log_softmax(1)[:, 0].mean().backward()  # type: ignore[no-untyped-call]
        found = [torch.zeros_like(w) if w.grad is None else w.grad for w in weights]
        return torch.cat([gradient.flatten().float() for gradient in found])
    finally:
        for weight in weights:
            weight.grad = None


def _first_line(error: Exception) -> str:
    return (message_line(error) or type(error).__name__)[:200]
