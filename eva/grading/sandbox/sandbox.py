"""The coordinator's side of the sandbox: starts the warm parent and reads what comes out.

No student code is imported and nothing is unpickled here; what comes out of the pipe is bytes with
a MAC, cut off at a cap, and :mod:`eva.grading.judge.judge` trusts none of it.
"""

from __future__ import annotations

import json
import os
import secrets
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from eva.data import Images
from eva.errors import GradingError
from eva.grading.sandbox.cgroup import Cgroup, new_group
from eva.grading.sandbox.outcome import Ending, Extraction, MemoryLimit, SandboxLimits, ending_of
from eva.grading.sandbox.record import LENGTH
from eva.grading.sandbox.scratch import scratch_folder
from eva.grading.sandbox.sources import require_writable, sources_of
from eva.grading.sandbox.tiers import (
    SYSTEM,
    Tier,
    best_tier,
    readable,
    student_user,
    why_not,
    with_path,
    wrapper,
)
from eva.submission import ENTRIES

_START = 180.0  # seconds for the warm parent to import torch
_GRACE = 30.0  # seconds beyond the wall clock, after which the warm parent itself is ended
_ATTEMPTS = 2  # to get an answer from the sandbox, whatever the answer is
_INSTALL = "Install bubblewrap (`apt-get install bubblewrap`); it needs user namespaces or root."


class Sandbox:
    """A warm parent and the walls around it; one extraction at a time.

    Args:
        tier: The walls; the best of this machine by default.
        limits: For each submission.

    Raises:
        GradingError: The tier can't be had here; the message says what to install.
    """

    def __init__(self, *, tier: Tier | None = None, limits: SandboxLimits | None = None) -> None:
        self.tier = best_tier() if tier is None else Tier(tier)
        self.limits = limits or SandboxLimits()
        reason = why_not(self.tier)
        if reason is not None:
            raise GradingError(f"there is no sandbox of tier {self.tier} here: {reason}.", _INSTALL)
        self._parent: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket | None = None
        self._group: Cgroup | None = None

    def extract(
        self,
        sources: Path | Mapping[str, bytes],
        *,
        entry: str | None = None,
        images: Images | None = None,
        limits: SandboxLimits | None = None,
    ) -> Extraction:
        """Run a submission's code and take its graph and recipe out.

        Args:
            sources: A folder, whose regular .py files go in, its submission.ipynb, and nothing
                else of it; or the files themselves, by their paths in the submission.
            entry: The file to import; by default submission.py, or else submission.ipynb.
            images: That it is asked about; those of MNIST by default.
            limits: For this submission alone.

        Raises:
            GradingError: The sandbox itself failed, twice, or the sources can't be read; never for
                what a student does.
        """
        limits = limits or self.limits
        most = {"most_files": limits.source_files, "most_bytes": limits.source_bytes}
        try:
            files = sources_of(sources, **most) if isinstance(sources, Path) else sources
            require_writable(files, **most)
        except OSError as error:
            raise GradingError(f"the sources can't be read: {error}") from error
        except GradingError as error:
            return self._extraction(Ending(status="crashed", message=error.problem))
        if entry is None:
            entry = next((name for name in ENTRIES if name in files), ENTRIES[0])
        try:
            return self._extraction(self._attempts(files, entry, images or Images(), limits))
        except GradingError:
            # A program of ours that is lost too was lost by the machine, and raises again.
            self._attempts({ENTRIES[0]: _HARMLESS}, ENTRIES[0], Images(), limits)
            return self._extraction(Ending(status="killed", message=_LOST))

    def _attempts(
        self, files: Mapping[str, bytes], entry: str, images: Images, limits: SandboxLimits
    ) -> Ending:
        """How a program ended, tried again where the sandbox lost it."""
        why = ""
        for _ in range(_ATTEMPTS):
            requests = self._warm()
            killed = self._limit_group(limits)
            key = secrets.token_bytes(32)
            record, end = self._run(requests, files, entry, images, limits, key)
            if end["end"] in ("exit", "signal", "timeout") or len(record) > limits.output_bytes:
                out_of_memory = self._group is not None and self._group.kills() > killed
                return ending_of(record, end, key=key, limits=limits, out_of_memory=out_of_memory)
            why = str(end.get("why", "no reason given"))
            self.close()
        raise GradingError(
            f"the sandbox of tier {self.tier} lost the program {_ATTEMPTS} times: {why}.",
            "That is no fault of the submission: look at the machine's memory and processes.",
        )

    def close(self) -> None:
        """End the warm parent."""
        if self._requests is not None:
            self._requests.close()
        if self._parent is not None:
            self._parent.kill()
            self._parent.wait()
        if self._group is not None:
            self._group.close()
        self._requests = self._parent = self._group = None

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
            {"tier": self.tier.value, "uid": student_user(), "readable": [*SYSTEM, *readable()]}
        )
        command = [sys.executable, "-I", "-B", "-c", with_path(_MAIN), config]
        command = [*wrapper(self.tier), *command]
        self._group = new_group()
        with theirs, tempfile.TemporaryFile() as errors:
            self._parent = subprocess.Popen(
                command if self._group is None else self._group.enter(command),
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
        if self._group is not None:
            self._group.mark()
        return ours

    def _limit_group(self, limits: SandboxLimits) -> int:
        """Limit the control group, if there is one; how many processes it has killed so far."""
        if self._group is None:
            return 0
        try:
            self._group.limit(memory_bytes=limits.memory_bytes, processes=limits.processes)
        except OSError as error:
            raise GradingError(f"the control group can't be limited: {error}") from error
        return self._group.kills()

    def _run(
        self,
        requests: socket.socket,
        files: Mapping[str, bytes],
        entry: str,
        images: Images,
        limits: SandboxLimits,
        key: bytes,
    ) -> tuple[bytes, dict[str, Any]]:
        """One attempt, with a folder of its own to write in."""
        with scratch_folder() as top:
            top.chmod(0o755)
            job = {
                "files": {name: content.hex() for name, content in files.items()},
                "entry": entry,
                "images": asdict(images),
                "limits": asdict(limits),
                "key": key.hex(),
                "scratch": f"{top}/scratch",
            }
            return self._converse(requests, json.dumps(job).encode(), limits)

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
                    return b"", {"end": "lost", "why": "its guard does not answer"}
                chunk = os.read(reader, 1 << 20)
                if not chunk:
                    break
                record += chunk
            else:
                control.sendall(b"stop")
            return bytes(record), _read_end(control)
        except OSError as error:  # the warm parent died
            return b"", {"end": "lost", "why": str(error)}
        finally:
            os.close(reader)
            control.close()

    def _extraction(self, ending: Ending) -> Extraction:
        held = MemoryLimit.ADDRESS_SPACE if self._group is None else MemoryLimit.CONTROL_GROUP
        return Extraction(tier=self.tier, trace=None, memory_limit=held, **vars(ending))


_MAIN = "from eva.grading.sandbox.child import main; main()"
_HARMLESS = b"raise SystemExit\n"
_LOST = (
    f"the program was lost {_ATTEMPTS} times, though the sandbox works: it ended the process that "
    "watches over it, or took all that the machine has."
)


def _read_end(control: socket.socket) -> dict[str, Any]:
    """The guard's last words; it is trusted code, but may have been killed."""
    text = b""
    with suppress(OSError):
        while chunk := control.recv(4096):
            text += chunk
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict) or "end" not in value:
        return {"end": "lost", "why": "its guard was killed"}
    return value
