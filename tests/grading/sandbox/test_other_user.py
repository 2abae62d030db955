"""Tier A for an instructor who is not root: user namespaces do what root did."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import eva
from eva.grading.sandbox.outcome import Extraction
from eva.grading.sandbox.sandbox import Sandbox

USER = 60_599  # nobody's
HONEST = Path(__file__).parents[1] / "submissions" / "honest" / "adaptive_pool_flatten.py"
# Python, packages and eva are shown below /mnt, as their own folders may be closed to others.
ROOM = """
set -e
mount -t tmpfs none /mnt
chmod 755 /mnt
mkdir /mnt/python /mnt/packages /mnt/eva
mount --bind "$1" /mnt/python
mount --bind "$2" /mnt/packages
mount --bind "$3" /mnt/eva
cd /
exec setpriv --reuid "$4" --regid "$4" --clear-groups \\
    env -i PATH="$PATH" HOME=/tmp OMP_NUM_THREADS=1 "/mnt/python/bin/$5" -I -B -c "$6"
"""
PROGRAM = """
import sys
sys.path[:0] = ["/mnt/eva", "/mnt/packages"]
import hashlib, json, os, pathlib, tempfile
from eva.grading.sandbox.sandbox import Sandbox
from eva.grading.sandbox.tiers import Tier, why_not
reason = why_not(Tier.A)
said = {"user": os.getuid(), "reason": reason}
if reason is None:
    with Sandbox(tier=Tier.A) as sandbox, tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "submission.py")
        for name, code in json.loads(sys.stdin.read()).items():
            path.write_text(code)
            found = sandbox.extract(pathlib.Path(folder))
            said[name] = [found.status, found.tier, found.captured.hex(), found.message]
print(json.dumps(said))
"""
CURIOUS = """
import contextlib, os
found = []
for place in ("/mnt/eva", "/mnt", "/usr", "/", "/etc", os.environ["HOME"]):
    with contextlib.suppress(OSError):
        open(os.path.join(place, "x"), "w")
        found.append(place)
with contextlib.suppress(OSError):
    os.setuid(0)
    found.append("root")
raise RuntimeError(f"can write {found}")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_user_without_rights_extracts_at_tier_a(sandbox: Sandbox, tmp_path: Path) -> None:
    missing = [name for name in ("setpriv", "unshare", "bwrap") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed")
    packages = Path(torch.__file__).parents[1]
    checkout = Path(eva.__file__).parents[1]
    words = [sys.base_prefix, str(packages), str(checkout), str(USER)]
    words += [Path(sys.executable).resolve().name, PROGRAM]
    done = subprocess.run(
        ["unshare", "--mount", "/bin/sh", "-c", ROOM, "sh", *words],
        input=json.dumps({"honest": HONEST.read_text(), "curious": CURIOUS}),
        capture_output=True,
        text=True,
        timeout=240,
    )
    if "mount" in done.stderr and not done.stdout:
        pytest.skip(f"this machine lets root mount nothing: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["user"] == USER
    if said["reason"] is not None:
        pytest.skip(f"users without rights can't have tier A here: {said['reason']}")
    status, tier, captured, message = said["honest"]
    assert (status, tier) == ("done", "A"), message
    assert bytes.fromhex(captured) == _extract(sandbox, tmp_path).captured
    assert said["curious"][0] == "done"
    assert b"can write ['/tmp/scratch']" in bytes.fromhex(said["curious"][2])


def _extract(sandbox: Sandbox, folder: Path) -> Extraction:
    shutil.copy(HONEST, folder / "submission.py")
    return sandbox.extract(folder)
