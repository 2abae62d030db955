"""``eva new --assignment``: an assignment of an instructor's own that runs, to be changed."""

from __future__ import annotations

import json
import re
from pathlib import Path

from eva.errors import SubmissionError
from eva.grading.checks.rubric import assignments_folder
from eva.grading.practice.new import write_files

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")
_TOML = """\
# What {name} asks. `eva check-assignment {folder}` says what is wrong with this file, by key; all
# kinds and their numbers are in docs/guides/assignments.md.

name = {quoted}
title = "a small network for MNIST"

# [late]                      # what lateness costs; without this, nothing
# due = 2026-03-01T23:59:00Z
# percent_per_day = 10

[checks.imports]
kind = "imports"
title = "imports, and builds a module"
points = 0

[checks.shapes]
kind = "shapes"
title = "(batch, 10) finite numbers"
points = 1
hints = ["what is the shape after each of your layers? `eva summary YOUR FILE` prints it."]

[checks.small]
kind = "parameters"
below = 20_000
title = "fewer than 20,000 parameters"
points = 2
hints = ["which layer has the most parameters? What does its count depend on?"]

[checks.few]                  # of your own: checks.py, beside this file
kind = "few_operations"
at_most = 60
title = "at most 60 operations"
points = 0.5

[checks.recipe]
kind = "recipe"
epochs = 10                   # at most
title = "a legal recipe"
points = 0.5

[checks.reaches]
kind = "reaches"
accuracy = 98.5               # percent of the test images
title = "98.5 % in some epoch"
points = 2

[checks.holds]
kind = "holds"
accuracy = 98.5
last_epochs = 2               # each of them must reach it
title = "98.5 % in the last 2 epochs"
points = 4
hints = ["how much do your last epochs differ? What sets the size of their steps?"]
"""
_CHECKS = '''\
"""Checks of my own. Delete this file, and [checks.few] in assignment.toml, if there are none.

The keyword arguments of a check are the numbers that assignment.toml gives it. A check without
`trains` looks at the graph of operations; with `trains=True` it gets `run.accuracies` and
`run.train_accuracies`, in percent, one an epoch. This file runs with your rights.
"""

from eva.grading.checks.check import check
from eva.grading.checks.verdict import Verdict


@check("few_operations", needs=("shapes",))
def few_operations(candidate, *, at_most: int) -> Verdict:
    """The network does not have too many steps."""
    if candidate.graph is None:
        return Verdict.skipped("operations: there is no graph.")
    count = len(candidate.graph.eval.nodes)
    said = f"at most {at_most} operations: yours has {count}."
    return Verdict.passed(said) if count <= at_most else Verdict.failed(said)
'''
_STARTER = '''\
"""Your submission: a network, and how it is trained. It runs; make it pass."""

from torch import nn

from eva.recipe import SGD, Recipe


def build_model() -> nn.Module:
    """Return a network that maps (batch, 1, 28, 28) images to (batch, 10) scores."""
    return nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 32), nn.ReLU(), nn.Linear(32, 10))


RECIPE = Recipe(epochs=10, optimizer=SGD(lr=0.01, momentum=0.9))
'''
_README = """\
# {name}

Say here what it is about.

```
pytest {folder}
```

The table that this prints is made from `assignment.toml`. Students change `submission.py`, and
hand it in.
"""


def new_assignment(name: str, folder: str | Path | None = None) -> list[Path]:
    """Write an assignment: assignment.toml, checks.py, a starter, a README and a ``conftest.py``.

    Args:
        name: Letters, digits, ``_`` and ``-``.
        folder: Made where it is missing; by default it has the assignment's name.

    Returns:
        The files, sorted.

    Raises:
        GradingError: The folder can't be written.
        SubmissionError: The name can't be used, or a file is there already; nothing was written.
    """
    if not _NAME.fullmatch(name):
        raise SubmissionError(
            f"an assignment can't be called {name!r}.",
            "Use letters, digits, _ and -: the name is that of its folder too.",
        )
    folder = Path(name if folder is None else folder)
    files = {
        "README.md": _README.format(name=name, folder=folder),
        "assignment.toml": _TOML.format(name=name, quoted=json.dumps(name), folder=folder),
        "checks.py": _CHECKS,
        "conftest.py": (assignments_folder() / "conftest.py").read_text(encoding="utf-8"),
        "submission.py": _STARTER,
    }
    return write_files({file: text.encode() for file, text in files.items()}, folder)
