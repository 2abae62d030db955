"""Data sets of torchvision's, from small files of their own form that are made here."""

import gzip
import hashlib
import json
import pickle
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torchvision import datasets

from eva.data import Images, dataset, fetch_data, images_of, load_data, to_float, verify_data
from eva.errors import DataError
from eva.grading.checks.rubric import load_assignment, problems_of
from eva.grading.checks.verdict import Status
from eva.grading.cohort.official_work import OfficialWork
from eva.grading.cohort.terms import Terms
from eva.grading.judge.judge import judge_seed, judge_static, seconds_of_training
from eva.grading.practice.grade import Grading
from eva.grading.sandbox.sandbox import Sandbox
from eva.model_summary import summary
from eva.plots import save_training_plots
from eva.recipe import Adam, Recipe
from eva.training.lr_finder import lr_find
from eva.training.trainer import Trainer

NAMES = ["fashion-mnist", "kmnist", "emnist-letters", "cifar10"]
TRAIN, TEST = 104, 52  # images; each letter four times and twice
NET = """
from torch import nn
from eva.recipe import Adam, Recipe
RECIPE = Recipe(epochs=1, batch_size=26, optimizer=Adam(lr=0.02))
def build_model():
    return nn.Sequential(
        nn.Conv2d({channels}, 8, 5, stride=3), nn.ReLU(), nn.Conv2d(8, {classes}, 1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten())
"""


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _pixels(count: int, *size: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 200, (count, *size), dtype=np.uint8)


def _idx(values: np.ndarray) -> bytes:
    magic = 2048 + values.ndim
    return struct.pack(f">{1 + values.ndim}i", magic, *values.shape) + values.tobytes()


def _parts(classes: int, first: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    parts = {"train": TRAIN, "test": TEST}
    return {
        part: (_pixels(n, 28, 28), (first + np.arange(n) % classes).astype(np.uint8))
        for part, n in parts.items()
    }


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """All four, as torchvision leaves them, with their checksums in place of the real ones."""
    monkeypatch.delenv("EVA_DATA", raising=False)
    root = tmp_path / "data"
    for loader in (datasets.FashionMNIST, datasets.KMNIST):
        raw = root / loader.__name__ / "raw"
        raw.mkdir(parents=True)
        resources = []
        for part, (images, labels) in _parts(10, 0).items():
            stem = {"train": "train", "test": "t10k"}[part]
            for name, values in (("images-idx3", images), ("labels-idx1", labels)):
                content = _idx(values)
                packed = gzip.compress(content, mtime=0)
                (raw / f"{stem}-{name}-ubyte").write_bytes(content)
                (raw / f"{stem}-{name}-ubyte.gz").write_bytes(packed)
                resources.append((f"{stem}-{name}-ubyte.gz", _md5(packed)))
        monkeypatch.setattr(loader, "resources", resources)
    raw = root / "EMNIST" / "raw"
    raw.mkdir(parents=True)
    with zipfile.ZipFile(raw / "gzip.zip", "w") as archive:
        for part, (images, labels) in _parts(26, 1).items():
            for name, values in (("images-idx3", images), ("labels-idx1", labels)):
                content = _idx(values)
                whole = f"emnist-letters-{part}-{name}-ubyte"
                (raw / whole).write_bytes(content)
                archive.writestr(f"gzip/{whole}.gz", gzip.compress(content, mtime=0))
    monkeypatch.setattr(datasets.EMNIST, "md5", _md5((raw / "gzip.zip").read_bytes()))
    batches = root / "cifar-10-batches-py"
    batches.mkdir()
    lists: dict[str, list[list[str]]] = {"train_list": [], "test_list": []}
    for kind, count in (("train_list", TRAIN), ("test_list", TEST)):
        value = {"data": _pixels(count, 3 * 32 * 32), "labels": [i % 10 for i in range(count)]}
        content = pickle.dumps(value)
        (batches / kind).write_bytes(content)
        lists[kind].append([kind, _md5(content)])
        monkeypatch.setattr(datasets.CIFAR10, kind, lists[kind])
    meta = pickle.dumps({"label_names": [str(i) for i in range(10)]})
    (batches / "meta").write_bytes(meta)
    monkeypatch.setattr(
        datasets.CIFAR10, "meta", {"filename": "meta", "key": "label_names", "md5": _md5(meta)}
    )
    for name in NAMES:
        monkeypatch.setitem(dataset._IMAGES, name, replace(images_of(name), train=TRAIN, test=TEST))
    return root


@pytest.mark.parametrize("name", NAMES)
def test_each_data_set_is_read_with_its_sizes_and_classes(name: str, root: Path) -> None:
    data = load_data(name, root)
    size, classes = ((3, 32, 32), 10) if name == "cifar10" else ((1, 28, 28), 10)
    classes = 26 if name == "emnist-letters" else classes
    assert (
        data.images == Images(size=size, classes=classes, train=TRAIN, test=TEST) == images_of(name)
    )
    assert data.train_images.dtype == torch.uint8
    assert data.test_labels.bincount(minlength=classes).min() >= 2
    shown = data.normalize(to_float(data.train_images))
    each = shown.transpose(0, 1).flatten(1)
    torch.testing.assert_close(each.mean(1), torch.zeros(size[0]), rtol=0, atol=1e-3)
    torch.testing.assert_close(each.std(1), torch.ones(size[0]), rtol=0, atol=2e-3)


def test_letters_stand_upright_and_colors_come_first(root: Path) -> None:
    letters = load_data("emnist-letters", root)
    assert letters.train_images[5, 0].equal(torch.from_numpy(_pixels(TRAIN, 28, 28)[5]).T)
    color = load_data("cifar10", root)
    assert color.test_images[7].flatten().equal(torch.from_numpy(_pixels(TEST, 3 * 32 * 32)[7]))


@pytest.mark.parametrize(
    "name, file",
    [
        ("fashion-mnist", "FashionMNIST/raw/t10k-images-idx3-ubyte.gz"),
        ("kmnist", "KMNIST/raw/train-labels-idx1-ubyte"),
        ("emnist-letters", "EMNIST/raw/gzip.zip"),
        ("emnist-letters", "EMNIST/raw/emnist-letters-test-images-idx3-ubyte"),
        ("cifar10", "cifar-10-batches-py/test_list"),
    ],
)
def test_a_damaged_file_published_or_unpacked_is_named(name: str, file: str, root: Path) -> None:
    assert all(path.is_file() for path in verify_data(name, root))
    content = bytearray((root / file).read_bytes())
    content[-30] ^= 1
    (root / file).write_bytes(content)
    with pytest.raises(DataError, match=Path(file).name) as raised:
        load_data(name, root)
    assert f"eva data fetch {name}" in (raised.value.hint or "")
    (root / file).unlink()
    with pytest.raises(DataError, match=Path(file).name):
        load_data(name, root)


def test_without_a_network_what_to_do_is_said(
    no_network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.KMNIST, "mirrors", ["http://127.0.0.1:9/"])
    with pytest.raises(DataError, match="kmnist could not be downloaded") as raised:
        load_data("kmnist")
    assert "EVA_DATA" in (raised.value.hint or "")
    with pytest.raises(DataError):
        fetch_data("kmnist")


@pytest.mark.parametrize("name", ["emnist-letters", "cifar10"])
def test_training_pictures_summary_and_records_take_sizes_from_the_data(
    name: str, root: Path, tmp_path: Path
) -> None:
    data = load_data(name, root)
    model = _network(data.images)
    recipe = Recipe(epochs=1, batch_size=26, optimizer=Adam(lr=0.01))
    run = Trainer(model, recipe, data, device="cpu").fit()
    assert len(run.confusion) == data.classes
    assert sum(map(sum, run.confusion)) == TEST
    assert run.verdict().endswith(f"on {name}.")
    assert all(file.is_file() for file in save_training_plots(run, model, data, tmp_path))
    assert lr_find(model, recipe, data, device="cpu", steps=10).lrs
    *_, head = [row for row in json.loads(summary(model, data.size).render("json"))["rows"]]
    assert str(data.classes) in json.dumps(head)


def _network(images: Images) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(images.size[0], 8, 5, stride=3),
        nn.ReLU(),
        nn.Conv2d(8, images.classes, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


def _assignment(folder: Path, name: str) -> Path:
    folder.mkdir()
    images = images_of(name)
    (folder / "assignment.toml").write_text(f"""
name = "mine"
title = "Mine"
data = "{name}"
[checks.imports]
kind = "imports"
title = "imports"
points = 0
[checks.shapes]
kind = "shapes"
title = "scores"
points = 1
[checks.pooling]
kind = "pooling"
title = "pools"
points = 1
[checks.recipe]
kind = "recipe"
epochs = 3
title = "recipe"
points = 1
[checks.reaches]
kind = "reaches"
accuracy = 1
title = "better than nothing"
points = 1
""")
    code = NET.format(channels=images.size[0], classes=images.classes)
    (folder / "submission.py").write_text(code)
    return folder


@pytest.mark.parametrize("name", ["emnist-letters", "cifar10"])
def test_an_assignment_names_its_data_and_practice_grades_by_it(
    name: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / "cache" / name)
    monkeypatch.setattr("eva.plots.save_training_plots", lambda *_: [])
    folder = _assignment(tmp_path / "mine", name)
    lines: list[str] = []
    for cached in (False, True):
        grading = Grading(
            str(folder / "submission.py"),
            load_assignment(folder),
            data_dir=root,
            device="cpu",
            show=lines.append,
        )
        report = grading.report()
        assert {row.verdict.status for row in report.rows} == {Status.PASSED}, report
        assert any("--no-cache" in line for line in lines) is cached


def test_a_network_for_other_images_fails_the_check_of_shapes(root: Path, tmp_path: Path) -> None:
    folder = _assignment(tmp_path / "mine", "emnist-letters")
    (folder / "submission.py").write_text(NET.format(channels=1, classes=10))
    fast = Grading(str(folder / "submission.py"), load_assignment(folder)).fast
    assert fast["shapes"].status is Status.FAILED
    assert "(1, 26)" in fast["shapes"].message


def test_without_its_data_an_assignment_says_which_are_needed(
    tmp_path: Path, no_network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.KMNIST, "mirrors", ["http://127.0.0.1:9/"])
    folder = _assignment(tmp_path / "mine", "kmnist")
    report = Grading(str(folder / "submission.py"), load_assignment(folder)).report()
    assert report.outside is not None and report.outside.startswith("kmnist is needed.")


def test_a_data_set_that_none_knows_is_said_by_its_key(tmp_path: Path) -> None:
    folder = _assignment(tmp_path / "mine", "kmnist")
    file = folder / "assignment.toml"
    file.write_text(file.read_text().replace('"kmnist"', '"mnits"'))
    (problem,) = problems_of(folder)
    assert problem.key == "data"
    assert "did you mean 'mnist'?" in problem.said


@pytest.mark.parametrize("name", ["emnist-letters", "cifar10"])
def test_the_judge_checks_and_trains_on_the_assignments_data(
    name: str, root: Path, tmp_path: Path, sandbox: Sandbox
) -> None:
    folder = _assignment(tmp_path / "mine", name)
    rubric = load_assignment(folder)
    found = sandbox.extract(folder, images=rubric.images)
    admitted = judge_static(found, rubric)
    assert {v.status for v in admitted.verdicts.values()} == {Status.PASSED}, admitted.verdicts
    data = load_data(rubric.data, root)
    result = judge_seed(admitted, data, index=0, secret=b"of the tests", assignment="mine")
    assert (result.problem, len(result.accuracies)) == ("", 1)
    assert seconds_of_training(admitted, rubric.images, batches=2) > 0
    work = OfficialWork(Terms(assignment=rubric, secret=b"0123456789abcdef", data_dir=str(root)))
    assert work._data.name == name


def test_limits_of_an_assignment_are_those_of_the_sandbox(tmp_path: Path) -> None:
    from eva.grading.cohort.official_work import official_plan, sandbox_limits
    from eva.grading.sandbox.outcome import SandboxLimits

    folder = _assignment(tmp_path / "mine", "kmnist")
    rubric = load_assignment(folder)
    assert sandbox_limits(rubric) == SandboxLimits()
    plain = rubric.checks_digest
    file = folder / "assignment.toml"
    given = "seconds = 200\nmemory_mb = 1024\ndisk_mb = 5\nsource_mb = 0.5\nsource_files = 3\n"
    file.write_text(f"{file.read_text()}\n[limits]\n{given}")
    changed = load_assignment(folder)
    limits = sandbox_limits(changed)
    assert (limits.wall_seconds, limits.cpu_seconds, limits.source_files) == (200, 200, 3)
    assert (limits.memory_bytes, limits.file_bytes) == (1024 << 20, 5 << 20)
    assert limits.source_bytes == 1 << 19
    assert changed.checks_digest != plain  # what ran out of time is looked at again
    terms = Terms(assignment=changed, secret=b"0123456789abcdef")
    assert official_plan(terms).kinds["static"].seconds > 2 * 200 + 180
    file.write_text(f"{file.read_text().replace('seconds = 200', 'secnds = 0')}")
    (problem,) = problems_of(folder)
    assert (problem.key, "did you mean 'seconds'" in problem.said) == ("limits.secnds", True)
    file.write_text(f"{file.read_text().replace('secnds = 0', 'seconds = 0')}")
    (problem,) = problems_of(folder)
    assert problem.key == "limits.seconds"
