"""The one option of ours that pytest must know before it looks for any ``conftest.py``.

pytest takes the value of an option that it does not know yet for a path to collect from, and loads
the ``conftest.py`` beside it: ``--submission PATH`` would run a file that nobody asked for.
"""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer ``--submission``."""
    parser.getgroup("eva", "the course").addoption(
        "--submission",
        action="append",
        default=[],
        metavar="PATH_OR_MODULE",
        help="grade this in place of the submission.py beside the tests",
    )
