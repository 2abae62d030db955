"""Machines that are not ours: no home, a full or read-only disk, a terminal without Unicode."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import typer
from torch import nn

from eva import plots
from eva.cli.options import friendly_errors
from eva.cli.plain_output import HANDLER
from eva.data import mnist_files
from eva.record import Run
from eva.user_cache import cache_folders, writable_cache

ROOT = Path(__file__).parents[1]
NET = """
from torch import nn
from eva.recipe import SGD, Recipe
RECIPE = Recipe(epochs=1, batch_size=1000, optimizer=SGD(lr=0.1))
def build_model():
    return nn.Sequential(nn.Conv2d(1, 10, 5, stride=4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
"""


def test_a_training_ends_well_on_a_strange_machine(tmp_path: Path) -> None:
    """All at once: no home, ascii, another's backend, and blanks and umlauts in every path."""
    here = tmp_path / "Übung 8k – Zoë"
    scratch = tmp_path / "t m p"
    for folder in (here, scratch):
        folder.mkdir()
    (here / "mein netz ü.py").write_text(NET, encoding="utf-8")
    kept = {"PATH", "VIRTUAL_ENV", "SYSTEMROOT", "OMP_NUM_THREADS", "LD_LIBRARY_PATH"}
    environment = {name: value for name, value in os.environ.items() if name in kept}
    environment |= {
        "PYTHONPATH": str(ROOT),
        "PYTHONIOENCODING": "ascii",
        "LC_ALL": "C",
        "TMPDIR": str(scratch),
        "MPLBACKEND": "no backend at all",
        "MPLCONFIGDIR": str(scratch),
    }
    ran = subprocess.run(
        [sys.executable, "-m", "eva", "train", "mein netz ü.py", "--data", "mnist-mini"],
        cwd=here,
        env=environment,
        capture_output=True,
        check=False,
    )
    assert (ran.returncode, b"Traceback" in ran.stderr) == (0, False), ran.stderr
    text = ran.stdout.decode("ascii")
    assert "epoch  1" in text
    assert len(list(here.rglob("*.png"))) == 3


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437"])
def test_what_a_terminal_can_not_show_is_replaced(encoding: str) -> None:
    raw = io.BytesIO()
    import eva.cli  # noqa: F401  registers the handler

    stream = io.TextIOWrapper(raw, encoding=encoding, errors=HANDLER, newline="")
    stream.write("rate ▌███▍ 4.1 … ±7° 3×3 → 5×5 ╭─╮│ Übung 数字 ‹x›")
    stream.flush()
    text = raw.getvalue().decode(encoding)
    assert ("…" in text or "..." in text) and ("→" in text or "->" in text)
    if encoding == "ascii":
        assert text == "rate ##### 4.1 ... +-7 degrees 3x3 -> 5x5 +-+| ?bung ?? <x>"


def test_without_a_home_things_are_kept_among_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_home(name: str) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("platformdirs.user_cache_path", no_home)
    assert writable_cache().parent == tmp_path
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: Path("~/.cache") / name)
    assert [folder.parent for folder in cache_folders()] == [tmp_path]
    (tmp_path / "home").write_text("a file, where a folder can't be made")
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / "home" / name)
    assert writable_cache().parent == tmp_path  # as where the home is read-only
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / "own" / name)
    assert writable_cache() == tmp_path / "own" / "eva-course"


KAGGLE = ("train-images.idx3-ubyte", "train-labels.idx1-ubyte", "t10k-images.idx3-ubyte")
KAGGLE += ("t10k-labels.idx1-ubyte",)


@pytest.mark.parametrize(
    "layout",
    [
        [*KAGGLE],
        [f"{name}/{name}" for name in KAGGLE],
        [f"{name.replace('.idx', '-idx')}/{name}" for name in KAGGLE],
        [f"{name.replace('.idx', '-idx')}/{name.replace('.idx', '-idx')}" for name in KAGGLE],
        [name.replace(".idx", "-idx") for name in KAGGLE],
        [f"MNIST/raw/{name.replace('.idx', '-idx')}.gz" for name in KAGGLE],
        [*KAGGLE[:2], *(f"{name.replace('.idx', '-idx')}.gz" for name in KAGGLE[2:])],
    ],
    ids=["names", "folders", "mixed", "unpacked folders", "unpacked", "packed", "both"],
)
def test_mnist_is_found_by_whatever_names_it_has(layout: list[str], tmp_path: Path) -> None:
    for name in layout:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    folder = mnist_files.find(tmp_path)
    assert folder in (tmp_path, tmp_path / "MNIST" / "raw")


def test_kaggles_files_are_those_of_mnist(tmp_path: Path, mnist: object) -> None:
    """They are unpacked, and under another name: as bytes they are the same."""
    import gzip

    source = mnist_files.find()
    assert source is not None
    for stem in ("t10k-labels-idx1-ubyte", "t10k-images-idx3-ubyte"):
        name = stem.replace("-idx", ".idx")
        packed = source / f"{stem}.gz"
        if not packed.is_file():
            pytest.skip("MNIST is unpacked here already")
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_bytes(gzip.decompress(packed.read_bytes()))
        assert mnist_files.read(tmp_path, stem).equal(mnist_files.read(source, stem))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_takes_nothing_is_no_traceback(
    number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as caught, friendly_errors():
        raise OSError(number, os.strerror(number), "runs/net/curves.png")
    assert caught.value.exit_code == 3
    said = " ".join(capsys.readouterr().err.split())
    assert "runs/net/curves.png can't be written to" in said
    assert "folder of your own" in said
    with pytest.raises(OSError, match="interrupted"), friendly_errors():
        raise OSError(errno.EINTR, "interrupted")  # a fault of ours is not hidden


def test_a_picture_that_can_not_be_written_says_how_to_draw_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **settings: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    run = Run.load(ROOT / "docs" / "records" / "exp1" / "seed0.json")
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    with pytest.raises(plots.PlotError, match=r"No space left[\s\S]*eva plot RECORD"):
        plots.save_record_plots([run], tmp_path)


def test_a_backend_that_can_not_be_loaded_draws_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    subplots, asked = plt.subplots, []

    def without_windows(*shape: int, **settings: object) -> object:
        asked.append(shape)
        if len(asked) == 1:
            raise ImportError("Cannot load backend 'TkAgg' which requires the 'tk' framework")
        return subplots(*shape, **settings)

    monkeypatch.setattr(plt, "subplots", without_windows)
    figure = plots.kernels(nn.Sequential(nn.Conv2d(1, 4, 3)))
    assert len(asked) == 2
    plt.close(figure)


MOUNTED = """
import json, os, subprocess, sys
from pathlib import Path
os.chdir(sys.argv[1])
for name, size in (("readonly", "8m"), ("full", "1m")):
    Path(name).mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", name], check=True)
    Path(name, "net.py").write_text(Path("net.py").read_text())
filler = os.open("full/filler", os.O_WRONLY | os.O_CREAT)
try:
    while True:
        os.write(filler, b"0" * 4096)
except OSError:
    os.close(filler)
subprocess.run(["mount", "-o", "remount,ro", "readonly"], check=True)
print("mounted", flush=True)
import typer.testing
from eva.cli import app
found = []
for name in ("readonly", "full"):
    os.environ["XDG_CACHE_HOME"] = os.environ["HOME"] = os.path.abspath(name)
    for command in (
        "train net.py --data mnist-mini",
        "new mnist_8k",
        "new --assignment mine",
        "export gradescope grader",
    ):
        os.chdir(os.path.join(sys.argv[1], name))
        result = typer.testing.CliRunner().invoke(app, command.split())
        broke = not isinstance(result.exception, SystemExit | None)
        lines = repr(result.exception) if broke else result.output
        found.append([name, command, result.exit_code, broke, lines])
os.chdir("/")
print(json.dumps(found))
"""


def test_a_real_read_only_folder_and_a_real_full_disk_are_told_before_training(
    tmp_path: Path,
) -> None:
    (tmp_path / "net.py").write_text(NET)
    ran = subprocess.run(
        ["unshare", "-rm", sys.executable, "-c", MOUNTED, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    ) if shutil.which("unshare") else None  # fmt: skip
    if ran is None or not ran.stdout.startswith("mounted"):
        pytest.skip("nothing can be mounted here")
    for name, command, code, broke, said in json.loads(ran.stdout.splitlines()[-1]):
        where = f"{name}: eva {command}"
        assert not broke, f"{where}: {said}"
        assert code == 3, f"{where}: {said}"
        assert "can't be written" in " ".join(said.split()), where
        assert len(said.splitlines()) <= 6, where
