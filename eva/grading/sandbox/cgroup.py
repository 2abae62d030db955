"""A control group (cgroup v2) around the sandbox: what all its processes use together.

Where no group can be made, as in most containers, the limits of each process are all there is.

References:
    Linux kernel, Documentation/admin-guide/cgroup-v2.rst: memory.max, pids.max, memory.events, and
    that only a group without processes of its own can give controllers to those below.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

_PREFIX = "eva-sandbox-"
_CONTROLLERS = {"memory", "pids"}
_PATIENCE = 5.0  # seconds for the kernel to take killed processes out of the group
_SPARE = 32  # processes and threads of the warm parent, its guards and bubblewrap


class Cgroup:
    """A group that was made for one warm parent and all that it starts.

    Args:
        folder: Folder of the group, in the file system of control groups.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._base = 0

    def enter(self, words: Sequence[str]) -> list[str]:
        """A command line that runs this one inside the group from its first instruction on."""
        script = 'echo $$ > "$0" && exec "$@"'
        return ["/bin/sh", "-c", script, str(self.folder / "cgroup.procs"), *words]

    def mark(self) -> None:
        """Take what the group uses now for the warm parent's own."""
        self._base = int((self.folder / "memory.current").read_text())

    def limit(self, *, memory_bytes: int, processes: int) -> None:
        """Allow so much memory beyond :meth:`mark`, no swap, and so many processes.

        Raises:
            OSError: The kernel refuses.
        """
        (self.folder / "memory.max").write_text(str(self._base + memory_bytes))
        (self.folder / "pids.max").write_text(str(processes + _SPARE))
        swap = self.folder / "memory.swap.max"
        if swap.exists():
            swap.write_text("0")

    def kills(self) -> int:
        """How many processes were killed for the group's memory so far."""
        with suppress(OSError, ValueError):
            for line in (self.folder / "memory.events").read_text().splitlines():
                name, _, count = line.partition(" ")
                if name == "oom_kill":
                    return int(count)
        return 0

    def close(self) -> None:
        """Kill all that is in the group, and remove it."""
        kill = self.folder / "cgroup.kill"
        if kill.exists():  # from Linux 5.14 on
            with suppress(OSError):
                kill.write_text("1")
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                self.folder.rmdir()
                return
            except OSError:
                if not self.folder.exists() or time.monotonic() > end:
                    return
                time.sleep(0.02)


def new_group(proc: Path = Path("/proc/self")) -> Cgroup | None:
    """A fresh group with controllers for memory and processes; None where there can't be one.

    Args:
        proc: Folder of this process in /proc; its ``cgroup`` and ``mountinfo`` are read.
    """
    for parent in _parents(proc):
        with suppress(OSError):
            given = (parent / "cgroup.subtree_control").read_text().split()
            if not set(given) >= _CONTROLLERS:
                continue
            _remove_stale(parent)
            folder = parent / f"{_PREFIX}{os.getpid()}-{time.monotonic_ns()}"
            folder.mkdir()
            group = Cgroup(folder)
            try:
                group.limit(memory_bytes=1 << 40, processes=1 << 10)  # tried out
            except OSError:
                group.close()
                continue
            return group
    return None


def _parents(proc: Path) -> Iterator[Path]:
    """Own group and those above it, as far as they can be seen."""
    try:
        lines = (proc / "mountinfo").read_text().splitlines()
        groups = (proc / "cgroup").read_text().splitlines()
    except OSError:
        return
    mounts = [line.split() for line in lines if " - cgroup2 " in line]
    own = [line.removeprefix("0::/") for line in groups if line.startswith("0::/")]
    if not mounts or not own:
        return
    root, place = mounts[0][3], Path(mounts[0][4])
    inside = Path("/", own[0])
    inside = inside.relative_to(root) if inside.is_relative_to(root) else Path()
    here = place / inside
    yield here
    while here != place:
        here = here.parent
        yield here


def _remove_stale(parent: Path) -> None:
    """Groups that killed coordinators have left behind; one in use can't be removed."""
    for folder in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            folder.rmdir()
