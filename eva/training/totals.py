"""The sums of an epoch, kept on the device, so that no step waits for them."""

from __future__ import annotations

import time

import torch
from torch import Tensor

REFRESH = 0.5  # seconds between two looks


class EpochTotals:
    """Loss, right answers and finite steps, summed over an epoch.

    ``add`` is part of a step: on a GPU it is captured with it. Reading a sum waits for the device.

    Attributes:
        images: How many were trained on so far. The trainer counts them.
    """

    def __init__(self, device: torch.device) -> None:
        self.images = 0
        self._device = device
        self._loss = torch.zeros((), device=device)
        self._correct = torch.zeros((), device=device, dtype=torch.int64)
        self._finite = torch.zeros((), device=device, dtype=torch.int64)
        self._looked = time.monotonic()

    def reset(self) -> None:
        """Begin an epoch."""
        self.images = 0
        for total in (self._loss, self._correct, self._finite):
            total.zero_()
        self._looked = time.monotonic()

    @torch.no_grad()
    def add(self, loss: Tensor, scores: Tensor, labels: Tensor) -> None:
        """Add a step.

        Args:
            loss: Mean over the batch, of no dimension.
            scores: (batch, classes).
            labels: (batch,) int64.
        """
        self._loss.add_(loss, alpha=len(labels))
        self._correct += (scores.argmax(1) == labels).sum()
        self._finite += self._loss - self._loss == 0  # if finite; once it is not, it stays so

    def due(self) -> bool:
        """Whether to look now: twice a second, and never on a GPU.

        A GPU is far behind the program that starts its kernels, and would stand still after a look.
        """
        if self._device.type == "cuda" or time.monotonic() - self._looked < REFRESH:
            return False
        self._looked = time.monotonic()
        return True

    def mean_loss(self) -> float:
        """Mean loss of the images so far."""
        return self._loss.item() / self.images

    def accuracy(self) -> float:
        """Percent of the images so far that were answered right."""
        return 100 * self._correct.item() / self.images

    def finite_steps(self) -> int:
        """Number of steps before the loss first was NaN or infinite."""
        return int(self._finite.item())
