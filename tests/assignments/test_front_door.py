"""What a student meets: `pytest assignments/` in a process of its own, as they run it."""

import fcntl
import importlib.util
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from eva.data import Dataset

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "docs" / "snippets" / "starter_output.txt"
SOLVED = Path(__file__).with_name("solved_receptive_field.py")

NET = """\
from torch import nn
from eva.blocks import gap_head
from eva.recipe import Recipe, SGD

def build_model():
    return nn.Sequential(nn.MaxPool2d(4), gap_head(1))

RECIPE = Recipe(epochs=1, batch_size=500)
"""


def front_door(*arguments: str | Path) -> tuple[int, str]:
    """Exit code and output of a terminal of 80 columns, without colors."""
    result = subprocess.run(
        [sys.executable, "-m", "pytest", *map(str, arguments)],
        cwd=ROOT,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    return result.returncode, result.stdout


def _environment() -> dict[str, str]:
    ours = ("PYTEST_", "COV_", "FORCE_COLOR", "PY_COLORS")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | {"COLUMNS": "80", "NO_COLOR": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def neutral(output: str) -> str:
    """Leave out what differs from machine to machine."""
    output = re.sub(r"(?m)^plugins: .*\n", "", output)
    output = re.sub(r"(?m)^platform .*$", "platform linux -- Python 3.11, pytest-9", output)
    output = re.sub(r"(?m)^rootdir: .*$", "rootdir: eva", output)
    return re.sub(
        r"=+ (.*) in [\d.]+s(?: \([\d:]+\))? =+",
        lambda found: f" {found[1]} in 4 s ".center(80, "="),
        output,
    )


def test_the_untouched_starter_teaches(pytestconfig: pytest.Config) -> None:
    code, output = front_door("assignments")
    assert code == 1
    if pytestconfig.getoption("--update-golden", default=False):
        GOLDEN.write_text(neutral(output), encoding="utf-8")
    assert neutral(output) == GOLDEN.read_text(encoding="utf-8")
    assert max(map(len, output.splitlines())) <= 80


def test_experiment_4_passes_all_that_is_fast() -> None:
    code, output = front_door(
        "assignments/mnist_8k", "--submission", "eva.experiments.exp4", "-m", "not slow"
    )
    assert code == 0, output
    assert "7/10" in output
    assert output.count("skipped: not run") == 2
    assert "6 passed, 2 deselected" in output


def test_their_traceback_is_shown_and_none_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "submission.py"
    path.write_text(NET.replace("    return", "    helper(None)\n    return") + HELPER)
    code, output = front_door("assignments/mnist_8k", "--submission", path)
    assert code == 1
    assert "FAILED imports:" in output
    assert "TypeError" in output
    assert re.findall(r'File "(.*)", line (\d+)', output) == [(str(path), "6"), (str(path), "13")]
    for ours in ("conftest.py", "capture.py", "site-packages", "Traceback (most"):
        assert ours not in output
    assert output.count("skipped") >= 6


HELPER = """

def helper(value):
    return 1 + value
"""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["assignments/mnist_8k", "--submission", "a.py", "--submission", "b.py"],
            "--submission takes one submission, got 2: a.py, b.py.",
        ),
        (["assignments/mnist_8k", "--submission", "none.py"], "there is no file none.py."),
        (
            ["assignments", "--submission", "eva.experiments.exp4"],
            "one_epoch_25k and receptive_field",
        ),
    ],
    ids=["two", "missing", "two assignments"],
)
def test_wrong_usage_is_said_before_anything_runs(arguments: list[str], words: str) -> None:
    code, output = front_door(*arguments)
    assert code == pytest.ExitCode.USAGE_ERROR
    assert words in output
    assert "Traceback" not in output
    assert "passed" not in output


def test_another_plugin_may_warn_and_reorder_and_one_check_alone_prints_no_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # pytest-asyncio warns when it is configured, pytest-randomly shuffles what was collected.
    (tmp_path / "loud_plugin.py").write_text(
        "import warnings\n"
        "def pytest_configure(config):\n"
        "    warnings.warn('unset option', DeprecationWarning)\n"
        "def pytest_collection_modifyitems(items):\n"
        "    items.reverse()\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    code, output = front_door(
        "assignments/mnist_8k", "-p", "loud_plugin", "-k", "pooling or under_8k"
    )
    assert code == 1
    assert "2 failed, 6 deselected" in output
    assert re.search(r"4  fewer than 8,000 parameters +0/2  failed", output)
    for ours in ("INTERNALERROR", "DEBUG", "Captured log"):
        assert ours not in output


def test_a_conftest_beside_a_submission_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "conftest.py").write_text("import os\nprint('ten of ten')\nos._exit(0)\n")
    code, output = front_door(
        "assignments/mnist_8k", "--submission", tmp_path / "net.py", "-m", "not slow"
    )
    assert "ten of ten" not in output
    assert "global average pooling" in output
    assert "6 passed, 2 deselected" in output
    assert code == 0


def test_receptive_field_can_be_solved_and_workers_send_their_verdicts() -> None:
    code, output = front_door("assignments/receptive_field", "--submission", SOLVED, "-n", "2")
    assert code == 0, output
    assert "10/10" in output
    assert "Next: all 10 points are yours" in output


PLUGINS = {
    "pytest_asyncio": [],
    "pytest_randomly": [],
    "pytest_html": ["--html=report.html"],
    "pytest_cov": ["--cov=eva", "--cov-report="],
    "pytest_sugar": [],
    "pytest_timeout": ["--timeout=200"],
    "pytest_rerunfailures": ["--reruns=1"],
}
"""Of other people: most are not installed where this runs."""


@pytest.mark.parametrize("plugin, options", PLUGINS.items(), ids=PLUGINS)
def test_the_table_is_printed_beside_the_plugins_of_others(
    plugin: str, options: list[str], tmp_path: Path
) -> None:
    if importlib.util.find_spec(plugin) is None:
        pytest.skip(f"{plugin} is not installed")
    options = [option.replace("=report", f"={tmp_path}/report") for option in options]
    code, output = front_door("assignments/mnist_8k", "-k", "imports", *options)
    assert code == 0, output
    assert "imports, and builds a module               -  passed" in output
    assert "INTERNALERROR" not in output


def test_receptive_field_finds_the_usual_mistakes(tmp_path: Path) -> None:
    path = tmp_path / "wrong.py"
    text = SOLVED.read_text()
    for old, new in (
        ("field + reach * jump", "field + reach"),  # forgets the jump
        ("size // 2", "size // 2 + 1"),  # one too many
        ('"pooled": 14', '"pooled": 13'),  # a pool that sees one pixel
        ('"residual": 19', '"residual": "19"'),  # text
        ('"upsampled": 7, ', ""),  # forgotten
        ("= 10_000, 1, 1", "= 10_000, 1, 0"),  # starts from nothing
    ):
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    code, output = front_door("assignments/receptive_field", "--submission", path, "--hints")
    assert code == 1
    output = " ".join(output.split())
    for words in (
        "Layer(kernel=3, stride=1, padding=0, dilation=1)) gives",
        "its field is too small",
        "with no layer at all, a unit is a pixel",
        "layers_to_see(1) gives 1, but one layer less is enough.",
        "your prediction is 13: that is too small.",
        "your prediction is '19': that is not a number.",
        "your prediction for upsampled: not predicted yet.",
        "total 2/10",
    ):
        assert words in output, words
    assert output.count("Hint: ") == 12


def test_training_is_seen_live_and_remembered(mnist: Dataset, tmp_path: Path) -> None:
    net = tmp_path / "net.py"
    net.write_text(NET)
    arguments = ["assignments/mnist_8k", "--submission", str(net)]
    screen = terminal(*arguments, cache=tmp_path / "cache")
    assert "it/s]" in screen  # the bar itself, through pytest, without -s
    assert "epoch  1  train" in screen
    assert "99.4 % in some epoch: your best is" in screen
    assert len(list((tmp_path / "cache").rglob("misclassified.png"))) == 1
    again = terminal(*arguments, cache=tmp_path / "cache")
    assert "Nothing changed since this was trained" in again
    assert "it/s]" not in again


def terminal(*arguments: str, cache: Path) -> str:
    """Run pytest in a terminal of 24 rows and 80 columns; return all that it wrote."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=ROOT,
        env=_environment() | {"XDG_CACHE_HOME": str(cache)},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # Linux says so when the other end is closed
            break
        if not part:
            break
        written += part
    os.close(ours)
    assert process.wait(timeout=300) == 1
    return written.decode(errors="replace")
