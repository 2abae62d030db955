"""Kernels captured once and replayed: a step of a small network without the cost of starting it.

A training step of a network of 8,000 parameters starts some two hundred kernels, each of which
takes a GPU less time than starting it takes Python. A CUDA graph starts all of them at once.

References:
    PyTorch, "CUDA Graphs", in its notes on CUDA semantics.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Generator, Tensor

WARM_UP = 3  # calls before the capture, in which libraries choose kernels and allocate

Returned = TypeVar("Returned")


class Replayed(Generic[Returned]):
    """A function of tensors; on CUDA its kernels are captured, elsewhere it is simply called.

    The function has to do the same work at every call: no value may come to the host and steer
    it, and what differs from call to call comes in tensors. The warm-up calls are real ones.
    Inputs of other shapes than the first call's (a last, smaller batch) go to the function itself.
    What a replay returns is overwritten by the next.

    Args:
        function: Takes and returns tensors on ``device``, and may change others in place.
        device: Where it works.
        generator: What it draws from, besides the global generator.
        captured: False calls the function every time, for one that a plain number steers.
    """

    def __init__(
        self,
        function: Callable[..., Returned],
        device: torch.device,
        *,
        generator: Generator | None = None,
        captured: bool = True,
    ) -> None:
        self._function = function
        self._captures = captured and device.type == "cuda"
        self._generator = generator
        self._shapes: list[torch.Size] | None = None
        self._calls = 0
        self._graph: tuple[torch.cuda.CUDAGraph, list[Tensor], Returned] | None = None

    def __call__(self, *inputs: Tensor) -> Returned:
        """Do what the function does."""
        shapes = [value.shape for value in inputs]
        self._shapes = self._shapes or shapes
        if not self._captures or shapes != self._shapes:
            return self._function(*inputs)
        self._calls += 1
        if self._calls <= WARM_UP:
            return self._on_a_side_stream(inputs)
        self._graph = self._graph or self._capture(inputs)
        graph, fixed, result = self._graph
        for old, new in zip(fixed, inputs, strict=True):
            old.copy_(new)
        graph.replay()
        return result

    def forget(self) -> None:
        """Capture anew: tensors that the function works on, besides its inputs, are others now."""
        self._calls, self._graph = 0, None

    def _on_a_side_stream(self, inputs: tuple[Tensor, ...]) -> Returned:
        here = torch.cuda.current_stream()
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(here)
        with torch.cuda.stream(aside):
            result = self._function(*inputs)
        here.wait_stream(aside)
        return result

    def _capture(
        self, inputs: tuple[Tensor, ...]
    ) -> tuple[torch.cuda.CUDAGraph, list[Tensor], Returned]:
        fixed = [value.clone() for value in inputs]
        graph = torch.cuda.CUDAGraph()
        if self._generator is not None:
            graph.register_generator_state(self._generator)
        with torch.cuda.graph(graph):
            result = self._function(*fixed)
        return graph, fixed, result
