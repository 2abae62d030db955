"""In which order a model's maps lie in memory."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from eva.data import Dataset, normalize, to_float


def fastest_layout(model: nn.Module, data: Dataset) -> torch.memory_format:
    """channels_last, which convolutions are a third faster with on a CPU, if the model runs so.

    One that calls :meth:`torch.Tensor.view` on its maps takes them to lie in PyTorch's usual order,
    and may fail in any other. A copy is tried on two images; model and random state stay as they
    are. What fails in either order is channels_last too: training says what is wrong.
    """
    images = normalize(to_float(data.train_images[:2].cpu()))
    usual, fast = torch.contiguous_format, torch.channels_last
    return usual if not _runs(model, fast, images) and _runs(model, usual, images) else fast


def _runs(model: nn.Module, layout: torch.memory_format, images: Tensor) -> bool:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        try:
            copied = copy.deepcopy(model).to("cpu", memory_format=layout)  # type: ignore[call-overload]
            for training in (True, False):
                copied.train(training)(images)
        except Exception:
            return False
    return True
