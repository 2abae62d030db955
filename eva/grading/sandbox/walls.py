"""Walls around a process, put up from inside it: namespaces, Landlock, limits, no privileges.

Linux only. Everything here is called by :mod:`eva.grading.sandbox.child` in a process that was just
forked, before it has read a byte that a student wrote; nothing can be taken down again.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_NEW_NAMESPACES = (
    0x10000000  # user
    | 0x00020000  # mounts
    | 0x20000000  # processes
    | 0x08000000  # System V and POSIX message queues
    | 0x04000000  # host name
    | 0x40000000  # network
)
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_REMOUNT = 1, 2, 4, 32
_MS_REC_PRIVATE = (1 << 14) | (1 << 18)
_MS_BIND_ALL = (1 << 12) | (1 << 14)
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 4, 36, 38
_CAPABILITY_VERSION = 0x20080522
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_READ = 0b1101  # execute, read a file, list a folder
_WRITE = 0x7FF2  # write, remove, make, link and truncate
_KNOWN_BY_ABI = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF}  # rights on files; later ones add other things


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _require(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _prctl(option: int, value: int) -> None:
    _require(_libc().prctl(option, value, 0, 0, 0), f"prctl {option}")


def become(uid: int) -> None:
    """Become another user for good, where this process is root; else stay who it is."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)


def enter_namespaces(scratch_bytes: int, readable: Iterable[str]) -> None:
    """Leave the machine's users, mounts, processes and network; /tmp is new.

    The next child that is forked is process 1 of the new world: when it ends, all in it end.

    Args:
        scratch_bytes: Size of the new /tmp.
        readable: Folders of Python and eva; those below /tmp are all that is in the new one.

    Raises:
        OSError: The kernel refuses.
    """
    libc = _libc()
    uid, gid = os.getuid(), os.getgid()
    _prctl(_PR_SET_DUMPABLE, 1)  # without it the maps below belong to root
    _require(libc.unshare(_NEW_NAMESPACES), "unshare")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    with suppress(OSError):  # where it is read-only, a nested user namespace stays possible
        Path("/proc/sys/user/max_user_namespaces").write_text("0")
    _require(libc.mount(b"none", b"/", None, _MS_REC_PRIVATE, None), "private mounts")
    kept = {p: os.open(p, os.O_PATH) for p in readable if p.startswith("/tmp/")}
    mount_tmpfs("/tmp", scratch_bytes)
    for place, opened in kept.items():
        Path(place).mkdir(parents=True)
        source = f"/proc/self/fd/{opened}".encode()
        _require(libc.mount(source, place.encode(), None, _MS_BIND_ALL, None), f"bind {place}")
        os.close(opened)
    mount_tmpfs("/proc", 4096)


def mount_tmpfs(place: str, size: int) -> None:
    """Cover a folder by an empty one that lives in memory."""
    options = f"size={size},nr_inodes=10000,mode=0755".encode()
    flags = _MS_NOSUID | _MS_NODEV
    _require(_libc().mount(b"tmpfs", place.encode(), b"tmpfs", flags, options), f"tmpfs {place}")


def make_read_only(place: str) -> None:
    """Refuse writes to a folder that :func:`mount_tmpfs` made."""
    flags = _MS_REMOUNT | _MS_RDONLY | _MS_NOSUID | _MS_NODEV
    _require(_libc().mount(None, place.encode(), None, flags, None), f"read-only {place}")


def drop_privileges() -> None:
    """Give up all capabilities and the way to new ones."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    header = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
    _require(_libc().capset(header, bytes(24)), "capset")


def landlock_abi() -> int:
    """Version of Landlock that the kernel offers; below 1 there is none."""
    return int(_libc().syscall(_LANDLOCK_CREATE, None, 0, 1))


def landlock(readable: Iterable[str], writable: Iterable[str]) -> None:
    """Allow the files below these folders and no others, and no TCP where the kernel can say so.

    It needs :func:`drop_privileges` first.

    Raises:
        OSError: The kernel refuses.
    """
    libc = _libc()
    abi = landlock_abi()
    known = _KNOWN_BY_ABI.get(abi, _KNOWN_BY_ABI[3])
    handled = struct.pack("=Q", known)
    if abi >= 4:
        handled += struct.pack("=Q", 3)  # no TCP
    if abi >= 6:
        handled += struct.pack("=Q", 3)  # no signals and abstract sockets of others
    handle = libc.syscall(_LANDLOCK_CREATE, handled, len(handled), 0)
    _require(handle, "landlock")
    for places, rights in ((readable, _READ), (writable, _READ | _WRITE)):
        for place in filter(os.path.exists, places):
            fd = os.open(place, os.O_PATH | os.O_CLOEXEC)
            allowed = rights if os.path.isdir(place) else rights & 0b0110
            rule = struct.pack("=Qi", allowed & known, fd)
            _require(libc.syscall(_LANDLOCK_ADD, handle, 1, rule, 0), f"landlock {place}")
            os.close(fd)
    _require(libc.syscall(_LANDLOCK_RESTRICT, handle, 0), "landlock")
    os.close(handle)


def limit(
    *, cpu_seconds: int, memory_bytes: int, file_bytes: int, open_files: int, processes: int | None
) -> None:
    """Set resource limits of this process and its children; memory is address space."""
    import resource  # Unix alone has it, and everybody may import this module

    limits = {
        resource.RLIMIT_CPU: (cpu_seconds, cpu_seconds + 1),
        resource.RLIMIT_AS: (memory_bytes,) * 2,
        resource.RLIMIT_FSIZE: (file_bytes,) * 2,
        resource.RLIMIT_NOFILE: (open_files,) * 2,
        resource.RLIMIT_CORE: (0, 0),
    }
    if processes is not None:
        limits[resource.RLIMIT_NPROC] = (processes, processes)
    for which, (soft, hard) in limits.items():
        most = resource.getrlimit(which)[1]
        cap = hard if most == resource.RLIM_INFINITY else min(hard, most)
        resource.setrlimit(which, (min(soft, cap), cap))


def mapped_bytes() -> int:
    """Address space that this process has mapped."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * mmap.PAGESIZE


def die_with_parent() -> None:
    """Be killed when the parent ends."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def untouchable() -> None:
    """Let no process of the same user look into this one's memory."""
    _prctl(_PR_SET_DUMPABLE, 0)


def adopt_orphans() -> None:
    """Become the parent of all descendants whose parents end."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
