"""What all peers share, so that only the loop differs: options, network, data, how to report."""

from __future__ import annotations

import argparse
import json
import sys
import time
from importlib.metadata import version

import torch
from torch import nn
from torch.utils.data import DataLoader, Subset
from torchvision import datasets, transforms

from eva.experiments.network import Net

LR, MOMENTUM, DECAY = 0.1, 0.9, 5e-4
EVERY, GAMMA = 6, 0.2  # epochs after which the learning rate is multiplied by gamma
BATCH, TEST_BATCH = 128, 1000

# Experiment 5's: rotation and shear of 12 degrees, scale of 15 %, shift of 2.8 of 28 pixels.
AUGMENT = transforms.RandomAffine(12, translate=(0.1, 0.1), scale=(0.85, 1.15), shear=12)
TO_INPUT = (transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,)))


def options() -> argparse.Namespace:
    """Read the command line; ``data`` is a folder for :class:`torchvision.datasets.MNIST`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--width", type=int, default=1, help="Times the channels.")
    parser.add_argument("--steps", type=int, default=40, help="Of the floor, timed at once.")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--compile", action="store_true")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    torch.manual_seed(0)
    return chosen


def network(width: int = 1) -> nn.Module:
    """Experiment 5's network, or a wider one."""
    a, b, c, d, e, f = (width * channels for channels in (9, 9, 9, 16, 16, 16))
    return Net((a, b, c, d, e, f))


def device() -> str:
    """The GPU where there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def mnist(chosen: argparse.Namespace) -> tuple[Subset, datasets.MNIST]:
    """Training and test images as PyTorch's own MNIST example reads them, image by image."""
    train = transforms.Compose([AUGMENT, *TO_INPUT])
    test = transforms.Compose(TO_INPUT)
    images = datasets.MNIST(chosen.data, train=True, transform=train)
    return Subset(images, range(chosen.images)), datasets.MNIST(
        chosen.data, train=False, transform=test
    )


def loaders(chosen: argparse.Namespace) -> tuple[DataLoader, DataLoader]:
    """The same with PyTorch's DataLoader, whose workers stay from epoch to epoch."""
    train, test = mnist(chosen)
    more = {"num_workers": chosen.workers, "persistent_workers": chosen.workers > 0}
    return (
        DataLoader(train, batch_size=chosen.batch, shuffle=True, **more),
        DataLoader(test, batch_size=TEST_BATCH, **more),
    )


class Report:
    """Prints ``{"epoch", "seconds", "test_accuracy"}`` after each epoch, and versions first.

    Args:
        packages: Whose versions the result depends on.
    """

    def __init__(self, *packages: str) -> None:
        names = ("torch", "torchvision", *packages)
        self._print({"versions": {name: version(name) for name in names}})
        self._epoch = 0
        self._last = time.perf_counter()

    def epoch(self, test_accuracy: float) -> None:
        """An epoch and its evaluation have ended; accuracy in percent."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now = time.perf_counter()
        seconds = now - self._last
        self._print({"epoch": self._epoch, "seconds": seconds, "test_accuracy": test_accuracy})
        self._epoch += 1
        self._last = time.perf_counter()

    @staticmethod
    def _print(value: object) -> None:
        sys.__stdout__.write(json.dumps(value) + "\n")  # some frameworks replace stdout
        sys.__stdout__.flush()
