"""A class of 60 for the benchmark: honest, cheating, broken, slow, identical and packed ones.

Worker processes import this module for :func:`short`, which is the official work on less data.
"""

from __future__ import annotations

import io
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from eva.data import Dataset
from eva.grading.checks.rubric import Assignment, load_assignment
from eva.grading.cohort.official_work import OfficialWork, load_official_data
from eva.grading.cohort.terms import Terms
from eva.jobs.plan import Work

TRAIN, TEST = 512, 500  # images
EPOCHS = 1

_HONEST = """\
import torch
from torch import nn
from eva.recipe import Adam, Recipe

RECIPE = Recipe(epochs={epochs}, batch_size=64, optimizer=Adam(lr={lr}))


def build_model():
    return nn.Sequential(
        nn.Conv2d(1, {width}, 3, stride=2), nn.BatchNorm2d({width}), nn.ReLU(),
        nn.Conv2d({width}, 10, 3, stride=2), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )
"""

CHEATS = {
    "exit": "import os\nos._exit(0)\n",
    "prints": 'print(\'{"passed": true, "points": 10}\')\n',
    "large": _HONEST.format(epochs=EPOCHS, lr=0.01, width=400),
    "linear": _HONEST.format(epochs=EPOCHS, lr=0.01, width=8).replace(
        "nn.AdaptiveAvgPool2d(1), nn.Flatten()", "nn.Flatten(), nn.Linear(360, 10)"
    ),
    "many epochs": _HONEST.format(epochs=90, lr=0.01, width=8),
    "forks": "import os\nwhile True:\n    os.fork()\n",
    "reads": "open('/etc/shadow').read()\n",
    "network": "import socket\nsocket.create_connection(('192.0.2.1', 80), timeout=2)\n",
}

BROKEN = {
    "syntax": "def build_model(:\n",
    "empty": "",
    "no recipe": _HONEST.format(epochs=EPOCHS, lr=0.01, width=8).replace("RECIPE", "OTHER"),
    "raises": "raise ValueError('no')\n",
    "binary": "\\x00\\xff",
    "shape": _HONEST.format(epochs=EPOCHS, lr=0.01, width=8).replace(", 10, 3", ", 9, 3"),
}

SLOW = "import time\ntime.sleep({seconds})\n" + _HONEST


def _zip(files: dict[str, str]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return content.getvalue()


def _tar(name: str, size: int, mode: str) -> bytes:
    """One member of zeros."""
    content, info = io.BytesIO(), tarfile.TarInfo(name)
    info.size = size
    with tarfile.open(fileobj=content, mode=mode) as archive:  # type: ignore[call-overload]
        archive.addfile(info, io.BytesIO(bytes(size)))
    return content.getvalue()


def archives() -> dict[str, bytes]:
    """Uploads by file name: honest ones in archives, bombs, and names that no disk takes."""
    honest = _HONEST.format(epochs=EPOCHS, lr=0.025, width=9)
    return {
        "archive honest.zip": _zip({"submission.py": honest, "README.md": "mine"}),
        "archive capitals.ZIP": _zip({"SUBMISSION.PY": honest}),
        "archive names another.zip": _zip({"honest 00.py": honest, "honest 01.py": honest}),
        "archive bomb.tar.bz2": _tar("a.bin", 300_000_000, "w:bz2"),
        "archive large.zip": _zip({"submission.py": "#" * 3_000_000}),
        "archive leads out.zip": _zip({"submission.py": honest, "../../evil.py": "x = 1"}),
        "archive file and folder.zip": _zip({"submission.py": honest, "a.py": "", "a.py/b.py": ""}),
        "archive long name.zip": _zip({"submission.py": honest, "n" * 60_000 + ".py": ""}),
        "archive damaged.tar.gz": b"not an archive",
        "archive inner.zip": _zip({"inner.zip": "PK"}),
        "other notebook.ipynb": b"{}",
        "other packed.7z": b"7z",
    }


def write_class(folder: Path) -> dict[str, int]:
    """Write 60 submissions, one upload each; return how many there are of each kind."""
    folder.mkdir(parents=True)
    texts: dict[str, str] = {}
    for number in range(10):
        texts[f"honest {number:02}"] = _HONEST.format(
            epochs=EPOCHS, lr=0.01 + number / 1000, width=6 + number % 7
        )
    for number in range(14):
        texts[f"same {number:02}"] = _HONEST.format(epochs=EPOCHS, lr=0.02, width=16)
    for number in range(2):
        for name, text in CHEATS.items():
            texts[f"cheat {name} {number}"] = text + f"# {number}\n"
    for name, text in BROKEN.items():
        texts[f"broken {name}"] = text
    for number in range(2):
        texts[f"slow {number}"] = SLOW.format(seconds=2, epochs=EPOCHS, lr=0.03, width=7 + number)
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text)
    for name, content in archives().items():
        (folder / name).write_bytes(content)
    kinds = [name.split()[0] for name in (*texts, *archives())]
    return {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}


def short_assignment() -> Assignment:
    """mnist_8k with a target that a few steps on little data can reach, or miss."""
    value = load_assignment("mnist_8k").model_dump()
    value["checks"]["reaches"] |= {"accuracy": 15.0}
    value["checks"]["holds"] |= {"accuracy": 15.0, "last_epochs": 1}
    return Assignment.model_validate(value)


def short(config: dict[str, Any]) -> Work:
    """The official work; only the data is less, so that a training takes a second."""
    return OfficialWork(Terms.from_json(config), load=_little)


def _little(terms: Terms) -> Dataset:
    data = load_official_data(terms)
    return replace(
        data,
        train_images=data.train_images[:TRAIN],
        train_labels=data.train_labels[:TRAIN],
        test_images=data.test_images[:TEST],
        test_labels=data.test_labels[:TEST],
    )
