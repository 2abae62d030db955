"""The four files of MNIST: find, fetch, verify and read them."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import os
import tempfile
import urllib.request
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm  # not tqdm.auto, which wants ipywidgets in a notebook

from eva.errors import DataError
from eva.user_cache import cache_folders, writable_cache

MIRROR_TIMEOUT = 10.0  # seconds without an answer after which a mirror is given up

# Sizes in bytes: compressed as published, and unpacked.
_SIZES = {
    "train-images-idx3-ubyte": (9_912_422, 47_040_016),
    "train-labels-idx1-ubyte": (28_881, 60_008),
    "t10k-images-idx3-ubyte": (1_648_877, 7_840_016),
    "t10k-labels-idx1-ubyte": (4_542, 10_008),
}
# As torchvision has them; it is imported only to download, since its import takes long.
_MD5 = {
    "train-images-idx3-ubyte": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte": "ec29112dd5afa0611ce80d1b7f02629c",
}
_MD5_UNPACKED = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


def cache_dir() -> Path:
    """Folder that downloads go to: of the user's cache, where it can be written to."""
    return writable_cache() / "data"


def find(data_dir: str | Path | None = None) -> Path | None:
    """Folder that holds the four MNIST files, packed or unpacked, or None.

    They may have Kaggle's names too (``train-images.idx3-ubyte``), and each may be inside a folder
    of its own name, as Kaggle's archive has it.

    Raises:
        DataError: ``data_dir`` or EVA_DATA names a folder that is missing or holds only some.
    """
    given = given_folder(data_dir)
    roots = [given] if given else []
    for root in [*roots, *(cache / "data" for cache in cache_folders())]:
        for folder in (root / "MNIST" / "raw", root / "raw", root):
            present = [stem for stem in _SIZES if _file(folder, stem) is not None]
            if len(present) == len(_SIZES):
                return folder
            if present and root in roots:
                missing = ", ".join(f"{s}.gz" for s in _SIZES if s not in present)
                raise DataError(
                    f"{folder} holds only {len(present)} of the 4 MNIST files; missing: {missing}.",
                    "Run `eva data fetch`, or copy the missing files there.",
                )
    return None


def given_folder(data_dir: str | Path | None) -> Path | None:
    """The folder of data that was named, or that EVA_DATA names; None without one.

    Raises:
        DataError: It is no folder.
    """
    given = data_dir or os.environ.get("EVA_DATA")
    if given and not Path(given).is_dir():
        source = "the data folder" if data_dir else "EVA_DATA"
        raise DataError(
            f"{source} is {str(given)!r}, which is not a folder.",
            "Name a folder that holds MNIST/raw, or unset it to use the cache.",
        )
    return Path(given) if given else None


def fetch() -> Path:
    """Download what is missing or damaged in the cache, trying each of torchvision's mirrors.

    A file is moved into its place only when it is complete and its MD5 is right.

    Returns:
        The folder that now holds the four verified files.

    Raises:
        DataError: No mirror gave all files.
    """
    folder = cache_dir() / "MNIST" / "raw"
    wanted = [stem for stem in _SIZES if _damage(folder, stem) is not None]
    if not wanted:
        return folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"can't create {folder}: {error}.", "Set EVA_DATA to a folder that holds MNIST/raw."
        ) from error
    from torchvision.datasets import MNIST

    failures = []
    for mirror in MNIST.mirrors:
        try:
            for stem in list(wanted):
                _download(f"{mirror}{stem}.gz", folder / f"{stem}.gz", _MD5[stem])
                wanted.remove(stem)
            return folder
        except (OSError, http.client.HTTPException, DataError) as error:
            failures.append(f"{mirror}: {error}")
    raise DataError(
        f"MNIST could not be downloaded: {'; '.join(failures)}.",
        "Check the network, or copy the four .gz files to a folder FOLDER/MNIST/raw and set "
        "EVA_DATA=FOLDER. `--data mnist-mini` trains on 5,000 images without a network.",
    )


def verify(folder: Path) -> list[Path]:
    """Compare each file's checksum with the published one.

    Returns:
        The files that were read.

    Raises:
        DataError: A file is missing or damaged; names it with expected and found MD5 and size.
    """
    for stem in _SIZES:
        problem = _damage(folder, stem)
        if problem is not None:
            raise DataError(
                problem,
                "Delete it and run `eva data fetch`, or point EVA_DATA at a folder that holds "
                "MNIST/raw.",
            )
    return [path for stem in _SIZES if (path := _file(folder, stem)) is not None]


def read(folder: Path, stem: str) -> Tensor:
    """Read a verified IDX file: (n, 1, 28, 28) uint8 images or (n,) int64 labels."""
    path = _file(folder, stem)
    assert path is not None
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    values = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    if "images" in stem:  # header: magic number and three sizes of 4 bytes
        return values[16:].view(-1, 1, 28, 28)
    return values[8:].to(torch.int64)


def _file(folder: Path, stem: str) -> Path | None:
    """Path of a file, packed or unpacked, by its name or Kaggle's."""
    names = (stem, stem.replace("-idx", ".idx"))
    for place in (folder, *(folder / name for name in names)):
        for name in names:
            for path in (place / f"{name}.gz", place / name):
                if path.is_file():
                    return path
    return None


def _damage(folder: Path, stem: str) -> str | None:
    """Say what is wrong with a file, or None."""
    path = _file(folder, stem)
    if path is None:
        return f"{stem}.gz is missing from {folder}."
    packed = path.suffix == ".gz"
    try:
        content = path.read_bytes()
    except OSError as error:
        return f"{path} can't be read: {error}."
    expected = (_MD5 if packed else _MD5_UNPACKED)[stem]
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found == expected:
        return None
    size = _SIZES[stem][0 if packed else 1]
    return (
        f"{path} is damaged: expected MD5 {expected}, found {found} "
        f"({len(content):,} of {size:,} bytes)."
    )


def _download(url: str, path: Path, md5: str) -> None:
    """Download one file beside its place, verify it, and move it there."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    part = Path(name)
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with (
            os.fdopen(handle, "wb") as file,
            urllib.request.urlopen(url, timeout=MIRROR_TIMEOUT) as answer,
            tqdm(
                total=answer.length, desc=path.name, unit="B", unit_scale=True, disable=None
            ) as bar,
        ):
            while chunk := answer.read(1 << 16):
                file.write(chunk)
                digest.update(chunk)
                bar.update(len(chunk))
        if digest.hexdigest() != md5:
            raise DataError(f"{url}: expected MD5 {md5}, found {digest.hexdigest()}")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
