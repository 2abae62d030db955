"""Terminal transcripts: commands that are really run, with what they really print."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from makers.records import DOCS, ROOT

SNIPPETS = DOCS / "snippets"
MNIST_8K = "pytest assignments/mnist_8k"

# Name of the file in docs/snippets -> commands, run in one folder in turn.
TRANSCRIPTS: dict[str, tuple[str, ...]] = {
    "help": ("eva --help",),
    "summary": ("eva summary eva.experiments.exp5 --input 1x28x28 --format classic",),
    "rf": ("eva rf eva.experiments.exp5 --input 1x28x28 --layer transition_1",),
    "unit": ("eva rf eva.experiments.exp5 --input 1x28x28 --layer transition_1 --unit 3,4",),
    "forgotten": (
        "eva summary forgotten.py --input 1x28x28 --columns output,kernel,params,mult_adds,rf",
        "eva summary forgotten.py --depth 1 --columns params,params_percent",
    ),
    "starter": (MNIST_8K,),
    "hints": (f"{MNIST_8K} --hints",),
    "passing": (f'{MNIST_8K} --submission eva.experiments.exp5 -m "not slow"',),
    "receptive-field": ("pytest assignments/receptive_field",),
    "seen": ("eva summary seen.py --input 1x28x28 --columns output,params,rf",),
    "missing": ("eva train my_submission.py",),
    "shapes": ("eva summary shapes.py --input 1x28x28",),
    "too-fast": ("eva train too_fast.py --data mnist-mini",),
    "mini": ("eva train eva.experiments.exp5 --data mnist-mini --epochs 3 --out first-run",),
}


def run(names: Sequence[str]) -> None:
    """Run some transcripts, or all of them, each in a scratch folder, and write them."""
    SNIPPETS.mkdir(exist_ok=True)
    for name in names or TRANSCRIPTS:
        commands = TRANSCRIPTS[name]
        with tempfile.TemporaryDirectory() as scratch:
            for part in ("assignments", "pyproject.toml"):
                copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
                copy(ROOT / part, Path(scratch) / part)
            for path in SNIPPETS.glob("*.py"):  # submissions that the pages show
                shutil.copy(path, scratch)
            text = "\n".join(transcript(command, Path(scratch)) for command in commands)
            for picture in Path(scratch, "first-run").glob("*.png"):  # of "mini"; a page shows them
                shutil.copy(picture, DOCS / "assets" / f"first-run-{picture.name}")
        (SNIPPETS / f"{name}.txt").write_text(text)


def transcript(command: str, folder: Path) -> str:
    """``$ command`` and its output, as someone with a terminal of 80 columns sees it."""
    bin_folder = Path(sys.executable).parent
    environment = os.environ | {
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "80",
        "TERM": "dumb",
        "NO_COLOR": "1",
        "OMP_NUM_THREADS": "1",
    }
    result = subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    lines = [re.sub(r"\s+$", "", line) for line in result.stdout.splitlines()]
    text = "\n".join(lines).replace(str(folder), "~").replace(str(ROOT), "~/eva").strip("\n")
    return f"$ {command}\n{text}\n"
