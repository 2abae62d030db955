"""The only process that runs student code: a warm parent, a guard, and the student's process.

The warm parent imports torch and eva once, exports a model of ours to warm torch.export up, and
never sees student code. For each submission it forks a guard, which puts up the walls of the tier
(:mod:`eva.grading.sandbox.walls`), writes the student's files down, forks the student's process,
ends it when the time is up, and kills whatever it has left behind.

The student's process imports the submission and writes one record to a pipe: 8 bytes length of a
JSON header, the header, the numbers of the graph, and a MAC under a key of this extraction.

What the MAC is worth: a submission that ends its process, prints lines that look like results or
writes rubbish to every file descriptor gives no record. Student code that looks for the key in the
memory of its own process will find it, and can then write any record it likes. That gains nothing:
a record is no grade but a graph and a recipe, and the judge checks, initializes and trains a forged
one like any other.
"""

from __future__ import annotations

import gc
import hashlib
import hmac
import json
import os
import select
import shutil
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from eva.grading.sandbox import walls
from eva.grading.sandbox.record import LENGTH

_TEXT = 4000  # characters of a message or traceback
_STEP = 0.005  # seconds between two looks of the guard
_WARM = "eva.experiments.exp5"


def main() -> None:
    """Serve requests that come over the Unix socket on file descriptor 0, until it closes."""
    config = json.loads(sys.argv[1])
    requests = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    sys.dont_write_bytecode = True

    from eva.grading.graph.capture import capture

    capture(_WARM, gradients=False)
    gc.collect()
    gc.freeze()
    config["mapped"] = walls.mapped_bytes()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # guards need no funeral
    requests.sendall(b"ready")
    while True:
        message, (*fds,), _, _ = socket.recv_fds(requests, 1, 2)
        if not message:
            return
        if os.fork() == 0:
            requests.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.dup2(null, 1)
            os.dup2(null, 2)
            record, control = fds[0], socket.socket(fileno=fds[1])
            try:
                _guard(config, record, control)
            except Exception as error:  # ours: no line of the student's has run in a guard
                _say(control, {"end": "walls", "why": f"{type(error).__name__}: {error}"})
            finally:
                os._exit(0)
        for fd in fds:
            os.close(fd)


def _guard(config: dict[str, Any], record: int, control: socket.socket) -> None:
    """Put up the walls, run the student's process inside them, and clear up."""
    walls.die_with_parent()
    os.setsid()
    job = json.loads(_receive(control))
    tier, limits = config["tier"], job["limits"]
    if tier == "A":
        walls.become(config["uid"])
        walls.enter_namespaces(limits["file_bytes"], config["readable"])
        first = os.fork()
        if first:
            os.close(record)
            control.close()
            os.waitpid(first, 0)
            return
        walls.die_with_parent()
    walls.untouchable()
    walls.adopt_orphans()
    scratch = Path("/tmp/scratch" if tier == "A" else job["scratch"])
    folder = _write_files(job, tier, scratch, config["uid"])
    trouble, troubled = os.pipe()
    child = os.fork()
    if child == 0:
        control.close()
        try:
            _walls(config, limits, folder, scratch)
            os.chdir(folder)
        except Exception as error:
            os.write(troubled, str(error).encode())
            os._exit(1)
        try:
            os.close(trouble)
            os.close(troubled)
            _run_student(job, record)
        finally:
            os._exit(1)
    os.close(record)
    os.close(troubled)
    if why := os.read(trouble, 1000):
        raise OSError(why.decode(errors="replace"))
    started = time.monotonic()  # the walls stand, and the student's time begins
    end = _wait(child, control, started + limits["wall_seconds"])
    end["seconds"] = time.monotonic() - started
    if tier == "A":
        _end_namespace()
    else:
        _kill_the_rest(config["uid"] if tier == "B" else None)
        shutil.rmtree(scratch, ignore_errors=True)
    import resource  # Unix alone has it, and everybody may import this module

    used = resource.getrusage(resource.RUSAGE_CHILDREN)  # of all that have ended: they all have
    _say(control, end | {"cpu": used.ru_utime + used.ru_stime})


def _receive(control: socket.socket) -> bytes:
    with control.makefile("rb") as stream:
        (size,) = LENGTH.unpack(stream.read(LENGTH.size))
        return stream.read(size)


def _say(control: socket.socket, value: dict[str, Any]) -> None:
    with suppress(OSError):
        control.sendall(json.dumps(value).encode())


def _write_files(job: dict[str, Any], tier: str, scratch: Path, uid: int) -> Path:
    """The student's files in a folder that is read-only to them, beside a folder to write in."""
    root = scratch.parent
    folder = root / "submission"
    folder.mkdir()
    scratch.mkdir(mode=0o700)
    if tier == "A":
        walls.mount_tmpfs(str(folder), 2 * job["limits"]["source_bytes"])
    if tier == "B":
        os.chown(scratch, uid, uid)
    for name, content in job["files"].items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes.fromhex(content))
        path.chmod(0o444)
    if tier == "A":
        walls.make_read_only(str(folder))
    for place in (folder, *(p for p in folder.rglob("*") if p.is_dir() and tier != "A")):
        with suppress(OSError):  # a read-only one needs nothing more
            place.chmod(0o555)
    return folder


def _walls(config: dict[str, Any], limits: dict[str, Any], folder: Path, scratch: Path) -> None:
    tier = config["tier"]
    walls.die_with_parent()
    walls.limit(
        cpu_seconds=limits["cpu_seconds"],
        memory_bytes=config["mapped"] + limits["memory_bytes"],
        file_bytes=limits["file_bytes"],
        open_files=limits["open_files"],
        processes=None if tier == "C" else limits["processes"],
    )
    if tier == "B":
        walls.become(config["uid"])
    walls.drop_privileges()
    if tier == "B":
        walls.landlock([*config["readable"], str(folder)], [str(scratch)])
    os.environ.clear()
    os.environ.update(HOME=str(scratch), TMPDIR=str(scratch))


def _wait(child: int, control: socket.socket, deadline: float) -> dict[str, Any]:
    """How the student's process ended; it is killed at the deadline, or when nobody listens."""
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            if os.WIFSIGNALED(status):
                return {"end": "signal", "code": os.WTERMSIG(status)}
            return {"end": "exit", "code": os.waitstatus_to_exitcode(status)}
        late = time.monotonic() > deadline
        if late or select.select([control], [], [], _STEP)[0]:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return {"end": "timeout" if late else "stopped", "code": 0}


def _end_namespace() -> None:
    """Kill all other processes of the namespace whose first one this is."""
    with suppress(ChildProcessError):
        while True:
            with suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)
            os.waitpid(-1, 0)


def _kill_the_rest(uid: int | None) -> None:
    """Kill what the student's process has started, however it tried to get away."""
    if uid is not None:
        killer = os.fork()
        if killer == 0:
            try:
                walls.become(uid)
                os.kill(-1, signal.SIGKILL)
            finally:
                os._exit(0)
        os.waitpid(killer, 0)
    with suppress(ChildProcessError):
        while True:
            for pid in _children():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            os.waitpid(-1, 0)


def _children() -> list[int]:
    """Own children, the adopted ones among them."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                stat = (entry / "stat").read_text()
                if int(stat.rpartition(")")[2].split()[1]) == os.getpid():
                    found.append(int(entry.name))
    return found


def _run_student(job: dict[str, Any], record: int) -> NoReturn:
    """Import, build and export the submission, write the record, and end without goodbye."""
    import torch

    # Not in the parent: a fork breaks the pool of threads that this makes.
    torch.set_num_threads(1)
    mac = hmac.new(bytes.fromhex(job.pop("key")), digestmod=hashlib.sha256)
    folder = f"{os.getcwd()}/"
    try:
        header, numbers = _captured(job["entry"], job["images"], folder)
    except BaseException as error:  # such as KeyboardInterrupt: a student may raise anything
        header, numbers = _header_of_failure(error, folder), b""
    text = json.dumps(header).encode()
    body = LENGTH.pack(len(text)) + text + numbers
    mac.update(body)
    with os.fdopen(record, "wb") as pipe:
        pipe.write(body + mac.digest())
    os._exit(0)


def _captured(entry: str, images: dict[str, Any], folder: str) -> tuple[dict[str, Any], bytes]:
    from eva.data import Images
    from eva.grading.graph.capture import capture

    asked = Images(**{**images, "size": tuple(images["size"])})
    found = capture(entry, images=asked)
    mistakes = {
        part: replace(
            mistake,
            problem=_cut(mistake.problem, folder),
            trace=None if mistake.trace is None else _cut(mistake.trace, folder),
        )
        for part, mistake in found.mistakes.items()
    }
    header = replace(found, mistakes=mistakes).to_json()
    return header, b"" if found.graph is None else found.graph.to_bytes()


def _header_of_failure(error: BaseException, folder: str) -> dict[str, Any]:
    from eva.grading.graph.candidate import Candidate, Mistake
    from eva.grading.graph.student_trace import student_trace

    mistake = Mistake(
        problem=_cut(f"the submission raised {type(error).__name__}: {error}", folder),
        trace=_cut(student_trace(error), folder),
    )
    return Candidate(mistakes={"imports": mistake}).to_json()


def _cut(text: object, folder: str) -> str:
    """Text of bounded length, without the name of the folder in the sandbox."""
    text = str(text).replace(folder, "")
    return text if len(text) <= _TEXT else f"{text[:_TEXT]} ..."


if __name__ == "__main__":
    main()
