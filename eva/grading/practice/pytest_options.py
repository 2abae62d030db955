"""The one option of ours that pytest must know before it looks for any ``conftest.py``.

pytest takes the value of an option that it does not know yet for a path to collect from, and loads
the ``conftest.py`` beside it: ``--submission PATH`` would run a file that nobody asked for.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_PLUGIN = "eva.grading.practice.pytest_plugin"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer ``--submission``."""
    parser.getgroup("eva", "the course").addoption(
        "--submission",
        action="append",
        default=[],
        metavar="PATH_OR_MODULE",
        help="grade this in place of the submission.py beside the tests",
    )


def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> None:
    """Register what grades an assignment, also where no ``conftest.py`` of ours is around it.

    That is so in a copy of a folder of ``assignments``: it holds assignment.toml and a submission.
    """
    named = [Path(arg.partition("::")[0]) for arg in args if not arg.startswith("-")]
    for path in named or [Path()]:
        places = (path, path.parent, *_folders(path))
        # os.path, since an argument need not be a path: `-k` and a long expression, for example.
        if any(os.path.isfile(place / "assignment.toml") for place in places):
            early_config.pluginmanager.import_plugin(_PLUGIN)
            return


def _folders(path: Path) -> list[Path]:
    """Folders in a folder: `pytest .` where each assignment is a folder."""
    try:
        return [place for place in path.iterdir() if place.is_dir()]
    except OSError:
        return []
