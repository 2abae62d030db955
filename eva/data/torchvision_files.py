"""Fashion-MNIST, KMNIST, the letters of EMNIST, and CIFAR-10: by torchvision's loaders.

torchvision downloads, unpacks and reads them. The archives that were published stay beside what was
unpacked from them: both are compared here, with the checksums that torchvision has.
"""

from __future__ import annotations

import gzip
import hashlib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from eva.data.mnist_files import cache_dir, given_folder
from eva.errors import DataError, message_line
from eva.user_cache import cache_folders


@dataclass(frozen=True, kw_only=True)
class _Source:
    """A data set of torchvision's.

    Attributes:
        loader: Its class in ``torchvision.datasets``.
        folder: That it is in, below the folder of data.
        options: Of the loader.
        upright: Its images are stored as people see them, not with rows and columns exchanged.
        first: Its smallest label.
    """

    loader: str
    folder: str
    options: dict[str, str] = field(default_factory=dict)
    upright: bool = True
    first: int = 0


_SOURCES = {
    "fashion-mnist": _Source(loader="FashionMNIST", folder="FashionMNIST"),
    "kmnist": _Source(loader="KMNIST", folder="KMNIST"),
    "emnist-letters": _Source(
        loader="EMNIST", folder="EMNIST", options={"split": "letters"}, upright=False, first=1
    ),
    "cifar10": _Source(loader="CIFAR10", folder="cifar-10-batches-py"),
}


def find_root(name: str, data_dir: str | Path | None = None) -> Path | None:
    """Folder that holds the data set's own folder, as torchvision's ``root``; None without one.

    Raises:
        DataError: ``data_dir`` or EVA_DATA names no folder.
    """
    given = given_folder(data_dir)
    roots = [*([given] if given else []), *(cache / "data" for cache in cache_folders())]
    return next((root for root in roots if (root / _SOURCES[name].folder).is_dir()), None)


def download(name: str) -> Path:
    """Download a data set into the user's cache, where it is not there; return its root.

    Raises:
        DataError: It can't be had.
    """
    source, root = _SOURCES[name], cache_dir()
    try:
        root.mkdir(parents=True, exist_ok=True)
        for train in (True, False):
            _loader(source)(root=str(root), train=train, download=True, **source.options)
    except (OSError, RuntimeError, EOFError, ValueError, zipfile.BadZipFile) as error:
        said = message_line(error) or type(error).__name__
        raise DataError(
            f"{name} could not be downloaded: {said}",
            f"Check the network, or copy the folder {source.folder} that torchvision makes into "
            "FOLDER and set EVA_DATA=FOLDER.",
        ) from error
    verify_archives(name, root)
    return root


def verify_archives(name: str, root: Path) -> list[Path]:
    """Compare what was published, and what was unpacked from it, with torchvision's checksums.

    Returns:
        The published files.

    Raises:
        DataError: One is missing or damaged; its name and what to do.
    """
    source = _SOURCES[name]
    folder = root / source.folder
    hint = f"Delete {folder} and run `eva data fetch {name}`."
    if (folder / "processed").is_dir():  # torchvision would read that first, and verify nothing
        raise DataError(f"{folder / 'processed'} is of an old torchvision.", hint)
    files = []
    try:
        for path, md5 in _published(source, root):
            found = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
            if found != md5:
                raise DataError(f"{path} is damaged: expected MD5 {md5}, found {found}.", hint)
            files.append(path)
        for path, content in _unpacked(source, root):
            if path.read_bytes() != content:
                raise DataError(f"{path} is not what was published: it is damaged.", hint)
    except (OSError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"a file of {name} can't be read: {error}.", hint) from error
    return files


def read_split(name: str, root: Path, *, train: bool) -> tuple[Tensor, Tensor]:
    """Images (n, channels, height, width) uint8 and labels (n,) int64, counted from 0.

    Raises:
        DataError: torchvision can't read them.
    """
    source = _SOURCES[name]
    try:
        part = _loader(source)(root=str(root), train=train, download=False, **source.options)
    except (OSError, RuntimeError, ValueError, AssertionError) as error:
        raise DataError(f"torchvision can't read {name} in {root}: {error}") from error
    images = torch.as_tensor(part.data)
    # torchvision gives (n, height, width), or colors last.
    images = images[:, None] if images.ndim == 3 else images.permute(0, 3, 1, 2)
    if not source.upright:
        images = images.mT
    return images.contiguous(), torch.as_tensor(part.targets).to(torch.int64) - source.first


def _loader(source: _Source) -> Any:
    from torchvision import datasets  # its import takes long

    return getattr(datasets, source.loader)


def _published(source: _Source, root: Path) -> Iterator[tuple[Path, str]]:
    """Files as they were published, and their MD5."""
    loader = _loader(source)
    if source.loader == "CIFAR10":
        parts = [*loader.train_list, *loader.test_list]
        parts.append((loader.meta["filename"], loader.meta["md5"]))
        yield from ((root / source.folder / name, md5) for name, md5 in parts)
    elif source.loader == "EMNIST":
        yield root / source.folder / "raw" / "gzip.zip", loader.md5
    else:
        yield from ((root / source.folder / "raw" / name, md5) for name, md5 in loader.resources)


def _unpacked(source: _Source, root: Path) -> Iterator[tuple[Path, bytes]]:
    """Files that torchvision has unpacked, and what is in them by the published ones."""
    raw = root / source.folder / "raw"
    if source.loader == "EMNIST":
        with zipfile.ZipFile(raw / "gzip.zip") as archive:
            for part in ("train", "test"):
                for kind in ("images-idx3", "labels-idx1"):
                    name = f"emnist-{source.options['split']}-{part}-{kind}-ubyte"
                    yield raw / name, gzip.decompress(archive.read(f"gzip/{name}.gz"))
    elif source.loader != "CIFAR10":
        for path, _ in _published(source, root):
            yield path.with_suffix(""), gzip.decompress(path.read_bytes())
