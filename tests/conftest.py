"""What all tests share: mnist-mini, a tiny data set, and full MNIST where it is."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from eva.data import Dataset, load_mini, load_mnist
from eva.data.mnist_files import find

FAKES = Path(__file__).parent / "fakes"
sys.path.insert(0, str(FAKES))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="Rewrite the golden files under tests/golden."
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare text with a golden file, or rewrite the file with --update-golden."""

    def compare(name: str, text: str) -> None:
        path = Path(__file__).parent / "golden" / name
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        assert text == path.read_text()

    return compare


def pytest_configure(config: pytest.Config) -> None:
    # Here and not in pyproject.toml, which a student's `pytest assignments/` reads too.
    config.addinivalue_line("filterwarnings", "error")
    torch.set_num_threads(1)  # results must not depend on the number of cores


@pytest.fixture(scope="module")
def one_ray() -> Iterator[None]:
    """Clusters on one machine take each other's ports: the tests of Ray run one after another."""
    with FileLock(Path(tempfile.gettempdir()) / "eva-tests-of-ray.lock"):
        yield


@pytest.fixture
def fakes_in_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Worker processes find the fakes of the core too."""
    paths = [str(FAKES), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))


@pytest.fixture(scope="session")
def mini() -> Dataset:
    return load_mini()


@pytest.fixture(scope="session")
def tiny(mini: Dataset) -> Dataset:
    """300 + 100 real digits: a few steps an epoch, the last one partial."""
    some = torch.arange(0, 4000, 13)[:300]
    return Dataset(
        name="tiny",
        train_images=mini.train_images[some],
        train_labels=mini.train_labels[some],
        test_images=mini.test_images[::10],
        test_labels=mini.test_labels[::10],
    )


@pytest.fixture(scope="session")
def mnist() -> Dataset:
    """Full MNIST from EVA_DATA; tests that ask for it are skipped without."""
    if not os.environ.get("EVA_DATA"):
        pytest.skip("set EVA_DATA to a folder that holds MNIST/raw")
    folder = find()
    assert folder is not None
    return load_mnist(folder)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty user cache, no EVA_DATA and mirrors that refuse; returns the cache's data folder."""
    monkeypatch.delenv("EVA_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("torchvision.datasets.MNIST.mirrors", ["http://127.0.0.1:9/"])
    return tmp_path / "cache" / "eva-course" / "data"
