"""The coordinator's side of the sandbox: starts the warm parent and reads what comes out.

No student code is imported and nothing is unpickled here; what comes out of the pipe is bytes with
a MAC, cut off at a cap, and :mod:`eva.grading.judge` trusts none of it.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import json
import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from eva.errors import GradingError
from eva.grading import isolation
from eva.grading.extractor import LENGTH, MAC_BYTES

MIB = 1 << 20
_START = 180.0  # seconds for the warm parent to import torch
_GRACE = 10.0  # seconds beyond the wall clock, after which the warm parent itself is ended
_FIRST_USER = 60600  # of 500 that neither people nor services have on Debian
_SYSTEM = ("/usr", "/lib", "/lib64", "/lib32", "/bin", "/etc/ld.so.cache")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
_INSTALL = "Install bubblewrap (`apt-get install bubblewrap`); it needs user namespaces or root."


class Tier(StrEnum):
    """How well student code is walled in; docs/guides/threat-model.md says what each holds."""

    A = "A"
    B = "B"
    C = "C"


@dataclass(frozen=True, kw_only=True)
class SandboxLimits:
    """What a submission may use while it is imported and exported.

    Attributes:
        wall_seconds: From the start of its process.
        cpu_seconds: Of each of its processes.
        memory_bytes: Address space of each of its processes, beyond what torch has mapped.
        file_bytes: Largest file; at tier A all its files together.
        open_files: File descriptors.
        processes: Processes and threads; not limited at tier C.
        output_bytes: Largest record.
        source_bytes: Of all its sources together.
        source_files: How many .py files.
    """

    wall_seconds: float = 60
    cpu_seconds: int = 60
    memory_bytes: int = 4096 * MIB
    file_bytes: int = 64 * MIB
    open_files: int = 256
    processes: int = 16
    output_bytes: int = 32 * MIB
    source_bytes: int = 4 * MIB
    source_files: int = 200


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """What came out of the sandbox, still untrusted.

    Attributes:
        tier: Of the walls it came out of.
        status: "done", "crashed", "timeout", "memory", "output" or "no-record".
        captured: Length of the header, JSON header, numbers; empty unless done.
        message: For the student, in a stranger's words perhaps: escape it.
        trace: Their traceback, if there is one outside the record.
        seconds: Wall time of their process.
    """

    tier: Tier
    status: str
    captured: bytes
    message: str
    trace: str | None
    seconds: float


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
    if not sys.platform.startswith("linux"):
        return None if tier is Tier.C else "it needs Linux"
    if tier is Tier.A:
        if shutil.which("bwrap") is None:
            return "bubblewrap is not installed"
        trial = f"become({_user()}); enter_namespaces(4096, {_readable()!r})"
        trial = f"from eva.grading.isolation import *; {trial}"
        trial += "; import json"
    elif tier is Tier.B:
        if os.geteuid() != 0:
            return "it needs root, to become a separate user"
        if isolation.landlock_abi() < 1:
            return "the kernel has no Landlock"
        trial = f"from eva.grading.isolation import *; become({_user()}); import json"
    else:
        return None
    done = subprocess.run(
        [*_wrapper(tier), sys.executable, "-I", "-c", _with_path(trial)],
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


class Sandbox:
    """A warm parent and the walls around it; one extraction at a time.

    Args:
        tier: The walls; the best of this machine by default.
        limits: For each submission.

    Raises:
        GradingError: The tier can't be had here; the message says what to install.
    """

    def __init__(
        self, *, tier: Tier | None = None, limits: SandboxLimits = SandboxLimits()
    ) -> None:
        self.tier = best_tier() if tier is None else Tier(tier)
        self.limits = limits
        reason = why_not(self.tier)
        if reason is not None:
            raise GradingError(f"there is no sandbox of tier {self.tier} here: {reason}.", _INSTALL)
        self._parent: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket | None = None

    def extract(
        self,
        folder: Path,
        *,
        entry: str = "submission.py",
        limits: SandboxLimits | None = None,
    ) -> Extraction:
        """Run a submission's code and take its graph and recipe out.

        Args:
            folder: Its regular .py files go in, and nothing else of it.
            entry: The file to import.
            limits: For this submission alone.

        Raises:
            GradingError: The warm parent does not start; never for what a student does.
        """
        limits = limits or self.limits
        try:
            files = _sources(folder, limits)
        except (OSError, GradingError) as error:
            return self._extraction("crashed", f"the sources can't be read: {error}")
        requests = self._warm()
        key = secrets.token_bytes(32)
        with tempfile.TemporaryDirectory(prefix="eva-sandbox-", ignore_cleanup_errors=True) as top:
            os.chmod(top, 0o755)
            job = {
                "files": files,
                "entry": entry,
                "limits": asdict(limits),
                "key": key.hex(),
                "scratch": f"{top}/scratch",
            }
            record, end = self._converse(requests, json.dumps(job).encode(), limits)
        return self._judge_end(record, end, key, limits)

    def close(self) -> None:
        """End the warm parent."""
        if self._requests is not None:
            self._requests.close()
        if self._parent is not None:
            self._parent.kill()
            self._parent.wait()
        self._requests = self._parent = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _warm(self) -> socket.socket:
        """The socket of the warm parent, which is started where there is none."""
        if self._requests is not None and self._parent is not None and self._parent.poll() is None:
            return self._requests
        self.close()
        ours, theirs = socket.socketpair()
        config = json.dumps(
            {"tier": self.tier.value, "uid": _user(), "readable": [*_SYSTEM, *_readable()]}
        )
        command = [sys.executable, "-I", "-B", "-c", _with_path(_MAIN), config]
        with theirs, tempfile.TemporaryFile() as errors:
            self._parent = subprocess.Popen(
                [*_wrapper(self.tier), *command],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "HOME": "/tmp"},
                start_new_session=True,
            )
            theirs.close()
            self._requests = ours
            ours.settimeout(_START)
            try:
                ready = ours.recv(16)
            except OSError:
                ready = b""
            if ready != b"ready":
                self.close()
                errors.seek(0)
                lines = errors.read()[-2000:].decode(errors="replace").strip().splitlines()
                raise GradingError(
                    f"the sandbox of tier {self.tier} does not start: "
                    f"{lines[-1] if lines else 'it gave no reason'}",
                    _INSTALL,
                )
        return ours

    def _converse(
        self, requests: socket.socket, job: bytes, limits: SandboxLimits
    ) -> tuple[bytes, dict[str, Any]]:
        """Hand a job over; the record so far as it came, and how the student's process ended."""
        reader, writer = os.pipe()
        control, theirs = socket.socketpair()
        deadline = time.monotonic() + limits.wall_seconds + _GRACE
        try:
            with theirs:
                socket.send_fds(requests, [b"x"], [writer, theirs.fileno()])
            os.close(writer)
            control.settimeout(_GRACE)
            control.sendall(LENGTH.pack(len(job)) + job)
            record = bytearray()
            while len(record) <= limits.output_bytes:
                if not select.select([reader], [], [], max(0, deadline - time.monotonic()))[0]:
                    self.close()  # the guard itself is stuck
                    return b"", {"end": "timeout", "seconds": limits.wall_seconds}
                chunk = os.read(reader, MIB)
                if not chunk:
                    break
                record += chunk
            else:
                control.sendall(b"stop")
            return bytes(record), _read_end(control)
        except OSError as error:  # the warm parent died; the next extraction starts another
            self.close()
            return b"", {"end": "lost", "why": str(error)}
        finally:
            os.close(reader)
            control.close()

    def _judge_end(
        self, record: bytes, end: dict[str, Any], key: bytes, limits: SandboxLimits
    ) -> Extraction:
        seconds = float(end.get("seconds", 0.0))
        if len(record) > limits.output_bytes:
            message = f"more than {limits.output_bytes:,} bytes came out of the submission."
            return self._extraction("output", message, seconds)
        body, mac = record[:-MAC_BYTES], record[-MAC_BYTES:]
        whole = hmac.compare_digest(hmac.digest(key, body, hashlib.sha256), mac)
        code = end.get("code")
        match end.get("end"):
            case "exit" if code == 0 and whole and body:
                return self._extraction("done", "", seconds, captured=body)
            case "exit":
                status, message = "no-record", (
                    f"the program ended itself (exit code {code}) before its model was read. "
                    "A submission is imported; it must not call exit()."
                )  # fmt: skip
            case "timeout":
                status, message = "timeout", (
                    f"importing and building took more than {limits.wall_seconds:g} s. "
                    "Training belongs to the recipe, not to the file."
                )  # fmt: skip
            case "signal" if code == signal.SIGXCPU:
                status = "timeout"
                message = f"importing and building took more than {limits.cpu_seconds} s of CPU."
            case "signal" if code == signal.SIGKILL:
                status, message = "memory", "the program was killed, probably for its memory."
            case "signal":
                status, message = "crashed", f"the program was ended by {_signal_name(code)}."
            case _:
                status = "crashed"
                message = f"the sandbox lost the program: {end.get('why', 'no reason given')}"
        return self._extraction(status, message, seconds)

    def _extraction(
        self, status: str, message: str, seconds: float = 0.0, captured: bytes = b""
    ) -> Extraction:
        return Extraction(
            tier=self.tier,
            status=status,
            captured=captured,
            message=message,
            trace=None,
            seconds=seconds,
        )


_MAIN = "from eva.grading.extractor import main; main()"


def _with_path(code: str) -> str:
    """Code for ``python -I``, which finds eva as this process does."""
    root = str(Path(__file__).resolve().parents[2])
    return f"import sys; sys.path.insert(0, {root!r}); {code}"


def _user() -> int:
    """A user of its own for the students of each coordinator's process."""
    return _FIRST_USER + os.getpid() % 500


def _wrapper(tier: Tier) -> list[str]:
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
    on_the_way = {str(parent) for place in _readable() for parent in Path(place).parents}
    for place in sorted({"/dev", "/etc", *on_the_way} - {"/"}):  # bwrap would make them 0700
        words += ["--perms", "0755", "--dir", place]
    for place in (*_SYSTEM, *_readable()):
        words += ["--ro-bind-try", place, place]
    for device in _DEVICES:
        words += ["--dev-bind", device, device]
    return [*words, "--chdir", "/", "--remount-ro", "/"]


def _readable() -> list[str]:
    """Folders of Python, its packages and eva that lie outside the system's."""
    places = {sys.prefix, sys.base_prefix, str(Path(sys.executable).resolve().parents[1])}
    places |= {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    places.add(str(Path(__file__).resolve().parents[1]))
    torch = find_spec("torch")
    if torch is not None and torch.origin is not None:
        places.add(str(Path(torch.origin).parents[1]))
    outside = sorted(p for p in places if not p.startswith("/usr/") and p != "/usr")
    return [p for p in outside if not any(p.startswith(f"{q}/") for q in outside)]


def _sources(folder: Path, limits: SandboxLimits) -> dict[str, str]:
    """Regular .py files by their names in the folder, in hexadecimal digits; links are left out."""
    found: dict[str, str] = {}
    total = 0
    for top, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(names):
            path = Path(top) / name
            if path.suffix != ".py" or path.is_symlink() or not path.is_file():
                continue
            total += path.stat().st_size
            if total > limits.source_bytes or len(found) >= limits.source_files:
                raise GradingError(
                    f"at most {limits.source_files} files and {limits.source_bytes:,} bytes of "
                    "sources are allowed."
                )
            found[path.relative_to(folder).as_posix()] = path.read_bytes().hex()
    return found


def _read_end(control: socket.socket) -> dict[str, Any]:
    """The guard's last words; it is trusted code, but may have been killed."""
    text = b""
    with suppress(OSError):
        while chunk := control.recv(4096):
            text += chunk
    try:
        value = json.loads(text)
    except ValueError:
        return {"end": "lost", "why": "its guard was killed"}
    return value if isinstance(value, dict) else {}


def _signal_name(code: object) -> str:
    try:
        return signal.Signals(code).name if isinstance(code, int) else "a signal"
    except ValueError:
        return f"signal {code}"
