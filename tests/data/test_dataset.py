import gzip
import shutil
import socket
import struct
import threading
from pathlib import Path

import pytest
import torch

from eva.data import (
    DataWarning,
    epoch_order,
    load_data,
    load_mini,
    load_mnist,
    mnist_files,
    normalize,
    to_float,
)
from eva.errors import DataError, EvaError

STEMS = list(mnist_files._SIZES)


@pytest.fixture
def packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with four small files in MNIST's format, and their checksums in place of MNIST's."""
    folder = tmp_path / "somewhere" / "MNIST" / "raw"
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    for stem in STEMS:
        count = 20 if "train" in stem else 10
        if "images" in stem:
            pixels = torch.randint(0, 256, (count, 28, 28), generator=generator)
            content = struct.pack(">4i", 2051, count, 28, 28) + bytes(pixels.flatten().tolist())
        else:
            content = struct.pack(">2i", 2049, count) + bytes(i % 10 for i in range(count))
        (folder / f"{stem}.gz").write_bytes(gzip.compress(content, mtime=0))
        for table, path_content in (
            (mnist_files._MD5, (folder / f"{stem}.gz").read_bytes()),
            (mnist_files._MD5_UNPACKED, content),
        ):
            monkeypatch.setitem(table, stem, mnist_files.hashlib.md5(path_content).hexdigest())
    return folder


def test_mini_is_5000_real_digits_split_evenly(mini) -> None:
    assert mini.train_images.shape == (4000, 1, 28, 28)
    assert mini.train_images.dtype == torch.uint8
    assert mini.train_labels.bincount().tolist() == [400] * 10
    assert mini.test_labels.bincount().tolist() == [100] * 10
    assert 20 < mini.train_images.float().mean() < 50
    assert mini.checksum == load_mini().checksum


def test_mini_has_no_image_in_both_parts(mini) -> None:
    train = {bytes(image.flatten().tolist()) for image in mini.train_images}
    assert sum(bytes(image.flatten().tolist()) in train for image in mini.test_images) == 0


def test_normalized_digits_have_mean_zero(mini) -> None:
    images = normalize(to_float(mini.train_images))
    assert abs(images.mean()) < 0.05
    assert abs(images.std() - 1) < 0.05


def test_a_read_only_folder_of_packed_files_is_enough(packed: Path) -> None:
    packed.chmod(0o555)
    data = load_data("mnist", packed.parent.parent)
    assert data.train_images.shape == (20, 1, 28, 28)
    assert data.test_labels.tolist() == list(range(10))
    assert sorted(p.name for p in packed.iterdir()) == sorted(f"{stem}.gz" for stem in STEMS)


def test_unpacked_files_are_read_and_verified_too(packed: Path) -> None:
    expected = load_mnist(packed)
    for stem in STEMS:
        path = packed / f"{stem}.gz"
        (packed / stem).write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    assert load_mnist(packed).checksum == expected.checksum
    (packed / STEMS[0]).write_bytes(b"nonsense")
    with pytest.raises(DataError, match=f"{STEMS[0]} is damaged"):
        load_mnist(packed)


def test_the_environment_variable_names_the_folder(packed: Path, monkeypatch) -> None:
    monkeypatch.setenv("EVA_DATA", str(packed.parent.parent))
    assert load_data("mnist").name == "mnist"
    assert load_data("auto").notice is None


def test_checksums_are_those_that_torchvision_has() -> None:
    from torchvision.datasets import MNIST

    assert {f"{stem}.gz": md5 for stem, md5 in mnist_files._MD5.items()} == dict(MNIST.resources)


@pytest.mark.parametrize("damage", ["truncated", "changed", "empty"])
def test_a_damaged_file_is_named_with_checksum_and_size(packed: Path, damage: str) -> None:
    path = packed / "t10k-images-idx3-ubyte.gz"
    content = path.read_bytes()
    changes = {"truncated": content[:100], "changed": content[:-1] + b"?", "empty": b""}
    path.write_bytes(changes[damage])
    for name in ("mnist", "auto"):
        with pytest.raises(DataError) as caught:
            load_data(name, packed.parent.parent)
        for word in (path.name, "expected MD5", f"{len(changes[damage]):,} of 1,648,877 bytes"):
            assert word in str(caught.value)
        assert "eva data fetch" in str(caught.value)


def test_a_missing_file_is_named(packed: Path) -> None:
    (packed / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"3 of the 4 .* missing: train-labels-idx1-ubyte.gz"):
        load_data("mnist", packed.parent.parent)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a folder"):
        load_data("mnist", tmp_path / "nowhere")


def test_auto_falls_back_with_a_warning_that_says_so(no_network: Path) -> None:
    with pytest.warns(DataWarning, match=r"99\.4 % target needs full MNIST"):
        data = load_data("auto")
    assert data.name == "mnist-mini"
    assert data.notice is not None
    assert "official" in data.notice


def test_mnist_never_falls_back(no_network: Path) -> None:
    with pytest.raises(DataError, match="could not be downloaded") as caught:
        load_data("mnist")
    assert "127.0.0.1:9" in str(caught.value)


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(EvaError, match="'cifar'"):
        load_data("cifar")


def test_a_mirror_that_hangs_is_given_up(no_network: Path, monkeypatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr("torchvision.datasets.MNIST.mirrors", [f"http://127.0.0.1:{port}/"])
        monkeypatch.setattr(mnist_files, "MIRROR_TIMEOUT", 0.3)
        with pytest.raises(DataError, match="timed out"):
            mnist_files.fetch()
    assert mnist_files.find() is None


def serve(folder: Path, cut: int | None = None) -> tuple[str, socket.socket]:
    """Serve a folder's files over HTTP; with ``cut``, only so many bytes of each."""
    server = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                name = connection.recv(4096).split(b" ")[1].decode().strip("/")
                content = (folder / name).read_bytes()
                head = f"HTTP/1.0 200 OK\r\nContent-Length: {len(content)}\r\n\r\n".encode()
                connection.sendall(head + content[:cut])

    threading.Thread(target=answer, daemon=True).start()
    return f"http://127.0.0.1:{server.getsockname()[1]}/", server


def test_a_download_that_breaks_off_leaves_nothing_behind(
    packed: Path, no_network: Path, monkeypatch
) -> None:
    mirror, server = serve(packed, cut=10)
    monkeypatch.setattr("torchvision.datasets.MNIST.mirrors", [mirror])
    with server, pytest.raises(DataError, match="could not be downloaded"):
        mnist_files.fetch()
    assert list((no_network / "MNIST" / "raw").iterdir()) == []


def test_fetch_tries_the_next_mirror_and_mends_damage(
    packed: Path, no_network: Path, monkeypatch
) -> None:
    mirror, server = serve(packed)
    monkeypatch.setattr("torchvision.datasets.MNIST.mirrors", ["http://127.0.0.1:9/", mirror])
    with server:
        folder = mnist_files.fetch()
        assert folder == no_network / "MNIST" / "raw"
        assert load_data("mnist").checksum == load_mnist(packed).checksum
        (folder / f"{STEMS[1]}.gz").write_bytes(b"half")
        mnist_files.fetch()
    mnist_files.verify(folder)
    shutil.rmtree(folder)
    assert mnist_files.find() is None


def test_order_depends_on_seed_and_epoch_alone() -> None:
    first = epoch_order(1000, seed=1, epoch=2)
    torch.rand(7)
    assert torch.equal(first, epoch_order(1000, seed=1, epoch=2))
    assert not torch.equal(first, epoch_order(1000, seed=1, epoch=3))
    assert not torch.equal(first, epoch_order(1000, seed=2, epoch=2))
    assert first.sort().values.tolist() == list(range(1000))


def test_held_out_images_are_not_trained_on(mini) -> None:
    split = mini.holdout(500)
    assert (len(split.train_labels), len(split.test_labels)) == (3500, 500)
    together = torch.cat((split.train_images, split.test_images)).flatten(1)
    assert together.long().sum() == mini.train_images.long().sum()
    assert split.checksum == mini.holdout(500).checksum != mini.holdout(500, seed=1).checksum
    assert "held out" in split.name
    with pytest.raises(DataError, match="5,000 of 4,000"):
        mini.holdout(5000)


def test_full_mnist_is_the_published_one(mnist) -> None:
    assert mnist.train_images.shape == (60_000, 1, 28, 28)
    assert mnist.test_labels.bincount().tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip
    pixels = mnist.train_images.float() / 255
    assert pixels.mean().item() == pytest.approx(0.1307, abs=1e-4)
    assert pixels.std().item() == pytest.approx(0.3081, abs=1e-4)
