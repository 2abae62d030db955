"""Tiers of isolation: which of them work on this machine, and the command lines that begin them."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import sysconfig
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path

from eva.grading.sandbox import walls

SYSTEM = ("/usr", "/lib", "/lib64", "/lib32", "/bin", "/etc/ld.so.cache")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
_FIRST_USER = 60600  # of 500 that neither people nor services have on Debian


class Tier(StrEnum):
    """How well student code is walled in; docs/guides/threat-model.md says what each holds."""

    A = "A"
    B = "B"
    C = "C"


@functools.cache
def best_tier() -> Tier:
    """The best tier that works on this machine, tried out once a process."""
    for tier in (Tier.A, Tier.B):
        if why_not(tier) is None:
            return tier
    return Tier.C


@functools.cache
def why_not(tier: Tier) -> str | None:
    """Why a tier can't be had here, in words; None where it can."""
    if not (sys.platform.startswith("linux") and hasattr(os, "fork")):
        return "it needs Linux"
    if tier is Tier.A:
        if shutil.which("bwrap") is None:
            return "bubblewrap is not installed"
        trial = f"become({student_user()}); enter_namespaces(4096, {readable()!r})"
        trial = f"from eva.grading.sandbox.walls import *; {trial}"
        trial += "; import json"
    elif tier is Tier.B:
        if os.geteuid() != 0:
            return "it needs root, to become a separate user"
        if walls.landlock_abi() < 1:
            return "the kernel has no Landlock"
        trial = f"from eva.grading.sandbox.walls import *; become({student_user()}); import json"
    else:
        return None
    done = subprocess.run(
        [*wrapper(tier), sys.executable, "-I", "-c", with_path(trial)],
        env={},
        capture_output=True,
        text=True,
    )
    if done.returncode == 0:
        return None
    last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    what = "bubblewrap can't make namespaces here" if tier is Tier.A else (
        "another user can't read this Python"
    )  # fmt: skip
    return f"{what}: {last}"


def with_path(code: str) -> str:
    """Code for ``python -I``, which finds eva and torch where this process does."""
    root = str(Path(__file__).resolve().parents[3])
    paths = f"sys.path.insert(0, {root!r}); sys.path.append({_packages()!r})"
    return f"import sys; {paths}; {code}"


def student_user() -> int:
    """A user of its own for the students of each coordinator's process."""
    return _FIRST_USER + os.getpid() % 500


def wrapper(tier: Tier) -> list[str]:
    """The command line of bubblewrap up to the program, at tier A."""
    if tier is not Tier.A:
        return []
    words = ["bwrap", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
    words += ["--die-with-parent", "--new-session", "--clearenv"]
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        words += ["--setenv", name, "1"]
    words += ["--setenv", "HOME", "/tmp"]
    if os.geteuid() == 0:  # to become another user, and that one a namespace's
        words += ["--cap-drop", "ALL"]
        for name in ("SETUID", "SETGID", "SYS_ADMIN", "KILL"):
            words += ["--cap-add", f"CAP_{name}"]
    else:
        words += ["--unshare-user"]
    words += ["--proc", "/proc", "--tmpfs", "/tmp"]
    on_the_way = {str(parent) for place in readable() for parent in Path(place).parents}
    for place in sorted({"/dev", "/etc", *on_the_way} - {"/"}):  # bwrap would make them 0700
        words += ["--perms", "0755", "--dir", place]
    for place in (*SYSTEM, *readable()):
        words += ["--ro-bind-try", place, place]
    for device in _DEVICES:
        words += ["--dev-bind", device, device]
    return [*words, "--chdir", "/", "--remount-ro", "/"]


def readable() -> list[str]:
    """Folders of Python, its packages and eva that lie outside the system's."""
    places = {sys.prefix, sys.base_prefix, str(Path(sys.executable).resolve().parents[1])}
    places |= {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    places.add(str(Path(__file__).resolve().parents[2]))
    places.add(_packages())
    outside = sorted(p for p in places if not p.startswith("/usr/") and p != "/usr")
    return [p for p in outside if not any(p.startswith(f"{q}/") for q in outside)]


def _packages() -> str:
    """The folder that torch is installed in."""
    torch = find_spec("torch")
    assert torch is not None and torch.origin is not None, "eva depends on it"
    return str(Path(torch.origin).parents[1])
