"""From a model to its graph: ``torch.export`` in both modes, then a graph of our own."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

import torch
from torch import Tensor, nn

from eva.errors import GradingError, message_line
from eva.grading.graph.conversion import Conversion, Store, Unsupported
from eva.grading.graph.graph import Graph
from eva.module_state import buffers_of, put_back

EXAMPLE_BATCH = 3  # of the example; every larger batch is the same to torch.export


def export_graph(
    model: nn.Module, input_size: tuple[int, int, int], *, batch: int = EXAMPLE_BATCH
) -> Graph:
    """Capture a model in train and in eval mode, with a symbolic batch size.

    Args:
        model: Maps (batch, *input_size) to scores; its mode is left as it was.
        input_size: Channels, height and width.
        batch: Images of the example in train mode; a network may be made for batches that can be
            cut in two, say.

    Raises:
        Uncountable: It reads numbers that no graph could hold.
        Unsupported: torch.export, or our graph, has no words for what it does.
    """
    root = _Root(unwrap(model))
    _require_exportable(model)
    was_training = model.training
    examples = {True: max(batch, EXAMPLE_BATCH), False: EXAMPLE_BATCH}
    store = Store()
    programs = {}
    buffers = buffers_of(root)
    try:
        for mode in (True, False):
            root.train(mode)
            put_back(buffers)  # so that what training leaves in one is what evaluation reads
            generator = torch.Generator().manual_seed(0)
            example = torch.randn(examples[mode], *input_size, generator=generator)
            programs[mode] = Conversion(_exported(root, example), store).program()
    finally:
        root.train(was_training)
        put_back(buffers)
    graph = Graph(train=programs[True], eval=programs[False], stored=store.tensors())
    try:
        graph.validate()
        graph.to_json()  # fails for an argument that JSON has no words for
    except GradingError as error:
        raise Unsupported(error.problem, error.hint) from error
    return graph


def unwrap(model: nn.Module) -> nn.Module:
    """Take ``torch.compile`` off a model and off the modules inside it."""
    model = getattr(model, "_orig_mod", model)
    for module in list(model.modules()):
        if module._compiled_call_impl is not None:
            module._compiled_call_impl = None
        for name, child in list(module._modules.items()):
            if child is not None and hasattr(child, "_orig_mod"):
                module._modules[name] = child._orig_mod
    return model


def _require_exportable(model: nn.Module) -> None:
    """Say of modules that torch.export can't read what it would not say."""
    for name, module in model.named_modules():
        known = f"the module {name}" if name else "the model"
        if isinstance(module, torch.jit.ScriptModule):
            raise Unsupported(
                f"{known} is made by torch.jit, which torch.export can't read.",
                "Return the module itself: leave out torch.jit.script and torch.jit.trace.",
            )
        if isinstance(module, nn.modules.batchnorm._NormBase) and (
            module.track_running_stats and module.momentum is None
        ):
            raise Unsupported(
                f"{known} ({type(module).__name__}) has momentum=None: how far its statistics "
                "move depends on a counter, which no graph follows.",
                "Give it a momentum from 0.001 to 0.5; 0.1 is the usual one.",
            )


class _Root(nn.Module):
    """Holds the model, so that none of its own overridden methods list its parameters."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.m = model

    def forward(self, x: Tensor) -> Any:
        return self.m(x)


def _exported(root: nn.Module, example: Tensor) -> Any:
    import torch.export  # heavy: 2 s of imports, wanted by nothing else

    shapes = ({0: torch.export.Dim.DYNAMIC},)
    with _quiet():
        try:
            return torch.export.export(root, (example,), dynamic_shapes=shapes, strict=False)
        except Exception as error:  # torch.export raises whatever its many layers raise
            reason = message_line(error)[:200] or "?"
            mode = "train" if root.training else "eval"
            raise Unsupported(
                f"torch.export can't write forward in {mode} mode as a graph: "
                f"{type(error).__name__}: {reason}",
                "Decisions that depend on numbers in a tensor (`if x.mean() > 0`, `.item()`) and "
                "on the batch size (`len(x)` where `x.shape[0]` would do) are the usual reasons.",
            ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the warnings, log lines and prints of torch.export away from the student."""
    disabled = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            redirect_stdout(io.StringIO()),
            redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
