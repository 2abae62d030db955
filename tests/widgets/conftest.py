"""Modules of docs/widgets under node."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
WIDGETS = HERE.parents[1] / "docs" / "widgets"


@pytest.fixture(scope="session")
def node() -> Callable[[str, Any], Any]:
    """Run a script of this folder on a value, both ways JSON; no node is a failure in CI."""
    found = shutil.which("node")
    if found is None:
        missing = "this test needs node: install it with `apt-get install nodejs`"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)

    def run(script: str, value: Any, widgets: Path = WIDGETS) -> Any:
        done = subprocess.run(
            [found, str(HERE / script), str(widgets)],
            input=json.dumps(value),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run
