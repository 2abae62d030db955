"""How good a model is on labeled images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eva.data import normalize, to_float

BATCH = 250  # on a CPU, larger ones no longer fit its caches and take twice as long
GPU_BATCH = 2500  # smaller ones cost a GPU more to start than to run; `eva.grading` admits by it


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Result on a set of n images: ``loss`` is the mean cross-entropy, ``accuracy`` in percent.

    ``predicted`` (n,) int64 and ``confidence`` (n,) float of the predicted class, on the CPU.
    """

    loss: float
    accuracy: float
    predicted: Tensor
    confidence: Tensor


@torch.no_grad()
def evaluate(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    normalizer: Callable[[Tensor], Tensor] = normalize,
) -> Evaluation:
    """Run a model in eval mode over images, and leave its mode as it was.

    Args:
        model: Maps (batch, channels, height, width) normalized floats to (batch, classes) scores.
        images: (n, channels, height, width) uint8, on the device of the model.
        labels: (n,) int64, on the same device.
        normalizer: Of the data set; MNIST's by default.
    """
    training = model.training
    model.eval()
    parts = torch.split(images, BATCH if images.device.type == "cpu" else GPU_BATCH)
    scores = torch.cat([model(normalizer(to_float(part))).float() for part in parts])
    model.train(training)
    confidence, predicted = scores.softmax(dim=1).max(dim=1)
    return Evaluation(
        loss=F.cross_entropy(scores, labels).item(),
        accuracy=100 * (predicted == labels).sum().item() / len(labels),
        predicted=predicted.cpu(),
        confidence=confidence.cpu(),
    )


def confusion_matrix(
    labels: Tensor, predicted: Tensor, classes: int = 10
) -> tuple[tuple[int, ...], ...]:
    """Count images of each true class (row) predicted as each class (column)."""
    counts = torch.bincount(labels * classes + predicted, minlength=classes * classes)
    return tuple(tuple(row) for row in counts.view(classes, classes).tolist())
