"""An autograder folder for Gradescope: ``setup.sh``, ``run_autograder`` and what they need.

References:
    Gradescope, Autograder Specifications: the two files, /autograder/source, /autograder/submission
    and /autograder/results/results.json.
"""

from __future__ import annotations

import os
import secrets
import shlex
from pathlib import Path

import eva
from eva.errors import GradingError
from eva.grading.checks.rubric import assignment_file, load_assignment
from eva.record import write_atomically

_SETUP = """\
#!/usr/bin/env bash
# Runs once, when Gradescope builds the image; there is a network here.
set -euo pipefail
apt-get update
apt-get install -y --no-install-recommends python3 python3-venv bubblewrap
python3 -m venv /autograder/venv
/autograder/venv/bin/pip install --no-cache-dir {package}
# The data go into the image: while submissions are graded, nothing is fetched.
XDG_CACHE_HOME=/autograder/cache /autograder/venv/bin/eva data fetch {data}
# Student code is run by another user or namespace, and must not read these.
chmod 700 /autograder/source
chmod 600 /autograder/source/secret.txt
"""

_RUN = """\
#!/usr/bin/env bash
# Runs for each submission. Exit code 1 says that a check failed, which the results tell too; above
# that the grader itself failed: without results, Gradescope shows an error and gives no score.
set -uo pipefail
work="$(mktemp -d)"
mkdir "$work/class"
cp -a /autograder/submission "$work/class/student"
export XDG_CACHE_HOME=/autograder/cache
/autograder/venv/bin/eva grade "$work/class" \\
  --official \\
  --assignment /autograder/source/assignment.toml \\
  --secret-file /autograder/source/secret.txt \\
  --seeds {seeds} --jobs "$(nproc)"{tier} \\
  --journal "$work/journal.jsonl" \\
  --report gradescope=/autograder/results/results.json
code=$?
[ "$code" -le 1 ] || exit "$code"
"""


def export_gradescope(
    folder: Path,
    assignment: str,
    *,
    seeds: int = 3,
    package: str | None = None,
    allow_tier_c: bool = False,
) -> list[Path]:
    """Write the folder and return its files.

    Args:
        folder: Made where it is missing; must be empty.
        assignment: Its name or path; its file is copied.
        seeds: Trainings of each network.
        package: What pip installs; this version of eva by default.
        allow_tier_c: Grade where the container allows neither namespaces nor another user.

    Raises:
        GradingError: The folder is not empty or can't be written, or there is no such assignment.
    """
    found = load_assignment(assignment)
    found.asked()
    try:
        if folder.exists() and any(folder.iterdir()):
            raise GradingError(f"{folder} is not empty.", "Name a new folder.")
        rubric = assignment_file(assignment).read_bytes()
        package = shlex.quote(package or f"eva-course=={eva.__version__}")
        tier = " --allow-tier C" if allow_tier_c else ""
        files = {
            "setup.sh": _SETUP.format(package=package, data=found.data).encode(),
            "run_autograder": _RUN.format(seeds=seeds, tier=tier).encode(),
            "assignment.toml": rubric,
        }
        if found.own_checks:
            files["checks.py"] = found.own_checks.encode()
        paths = [write_atomically(folder / name, content) for name, content in files.items()]
        for path in paths[:2]:
            path.chmod(0o755)
        secret = folder / "secret.txt"
        with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{secrets.token_hex(32)}\n")
    except OSError as error:
        raise GradingError(f"{folder} can't be written: {error.strerror}.") from error
    return [*paths, secret]
