"""The sandbox: what comes out, what the walls of each tier stop, and clear words without one."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from eva.errors import GradingError
from eva.grading.sandbox import sandbox as room
from eva.grading.sandbox.outcome import SandboxLimits, ending_of
from eva.grading.sandbox.record import LENGTH
from eva.grading.sandbox.sandbox import Sandbox
from eva.grading.sandbox.scratch import scratch_folder
from eva.grading.sandbox.tiers import Tier, best_tier, why_not

HONEST = Path(__file__).parents[1] / "submissions" / "honest" / "adaptive_pool_flatten.py"
PROBE = """
import contextlib, os, socket
found = []
def can(what, action):
    with contextlib.suppress(OSError):
        action()
        found.append(what)
can("write eva", lambda: open({eva!r}, "a"))
can("write here", lambda: open("new.py", "w"))
can("write the root", lambda: open("/new", "w"))
can("read /etc/passwd", lambda: open("/etc/passwd"))
can("read the checkout", lambda: os.listdir({checkout!r}))
can("connect", lambda: socket.create_connection(("127.0.0.1", {port}), 1))
can("signal outside", lambda: os.kill({pid}, 0))
can("become root", lambda: os.setuid(0))
can("write the scratch", lambda: open(os.path.join(os.environ["TMPDIR"], "x"), "w"))
raise RuntimeError("can " + ", ".join(found))
"""


@pytest.fixture(scope="module", params=[Tier.B, Tier.C])
def weaker(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    reason = why_not(request.param)
    if reason is not None:
        pytest.skip(f"tier {request.param} is impossible here: {reason}")
    with Sandbox(tier=request.param, limits=SandboxLimits(wall_seconds=60)) as warm:
        yield warm


def run(sandbox: Sandbox, folder: Path, code: str, **limits: float) -> tuple[str, str]:
    """Status, and the mistake or message."""
    (folder / "submission.py").write_text(code)
    found = sandbox.extract(folder, limits=SandboxLimits(**limits) if limits else None)  # type: ignore[arg-type]
    if found.status != "done":
        return found.status, found.message
    (size,) = LENGTH.unpack_from(found.captured)
    header = json.loads(found.captured[LENGTH.size : LENGTH.size + size])
    return "done", header["mistakes"].get("imports", {"problem": ""})["problem"]


@pytest.fixture
def probe() -> Iterator[str]:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        yield PROBE.format(
            eva=str(Path(room.__file__)),
            checkout=str(Path(room.__file__).parents[3] / "tests"),
            port=server.getsockname()[1],
            pid=os.getpid(),
        )


def test_tier_a_lets_a_submission_write_its_scratch_and_nothing_else(
    sandbox: Sandbox, probe: str, tmp_path: Path
) -> None:
    status, problem = run(sandbox, tmp_path, probe)
    assert (status, problem.partition("can ")[2]) == ("done", "write the scratch")


def test_weaker_tiers_hold_what_the_threat_model_says(
    weaker: Sandbox, probe: str, tmp_path: Path
) -> None:
    status, problem = run(weaker, tmp_path, probe)
    held = problem.partition("can ")[2]
    assert status == "done"
    if weaker.tier is Tier.B:
        assert held in ("write the scratch", "connect, write the scratch")  # TCP: Linux 6.7
    else:
        assert "write the scratch" in held


def test_weaker_tiers_capture_the_same_graph(
    sandbox: Sandbox, weaker: Sandbox, tmp_path: Path
) -> None:
    shutil.copy(HONEST, tmp_path / "submission.py")
    found = weaker.extract(tmp_path)
    assert found.tier == weaker.tier
    assert found.captured == sandbox.extract(tmp_path).captured


def test_a_notebook_with_a_helper_gives_the_graph_of_its_file(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    text = HONEST.read_text(encoding="utf-8")
    (tmp_path / "submission.py").write_text(f"from helper import *\n{text}")
    (tmp_path / "helper.py").write_text("WIDTH = 1\n")
    of_file = sandbox.extract(tmp_path)
    (tmp_path / "submission.py").unlink()
    cell = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    cell["source"] = f"#| export\nfrom helper import *\n{text}"
    notebook = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (tmp_path / "submission.ipynb").write_text(json.dumps(notebook))
    found = sandbox.extract(tmp_path)
    assert found.status == "done" and found.captured == of_file.captured


def test_weaker_tiers_end_what_a_submission_leaves_behind(weaker: Sandbox, tmp_path: Path) -> None:
    code = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(3600)\n"
    code += "print('passed')\nos._exit(0)\n"
    before = set(Path("/tmp").glob("eva-sandbox-*"))
    started = time.monotonic()
    status, _ = run(weaker, tmp_path, code)
    assert status == "no-record"
    assert time.monotonic() - started < 1800, "it waited for the one that sleeps for an hour"
    assert set(Path("/tmp").glob("eva-sandbox-*")) <= before


def test_weaker_tiers_end_an_endless_loop_and_a_hoard(weaker: Sandbox, tmp_path: Path) -> None:
    assert run(weaker, tmp_path, "while True: pass", cpu_seconds=1)[0] == "timeout"
    assert "MemoryError" in run(weaker, tmp_path, "x = bytearray(10**11)")[1]


def test_environment_of_a_submission_is_empty_but_for_its_scratch(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN_OF_THE_INSTRUCTOR", "secret")
    code = "import os\nraise RuntimeError(sorted(os.environ))"
    assert "['HOME', 'TMPDIR']" in run(sandbox, tmp_path, code)[1]


def test_output_beyond_its_cap_is_cut_off(sandbox: Sandbox, tmp_path: Path) -> None:
    code = "import sys\nframe = sys._getframe()\n"
    code += "while 'record' not in frame.f_locals: frame = frame.f_back\n"
    code += "import os\nwhile True: os.write(frame.f_locals['record'], b'x' * 10**6)\n"
    status, message = run(sandbox, tmp_path, code, output_bytes=10**7, wall_seconds=60)
    assert status == "output"
    assert "more than 10,000,000 bytes" in message


def test_record_without_its_key_is_no_record(sandbox: Sandbox, tmp_path: Path) -> None:
    code = "import sys, os\nframe = sys._getframe()\n"
    code += "while 'record' not in frame.f_locals: frame = frame.f_back\n"
    code += "os.write(frame.f_locals['record'], b'{}' * 100)\nos._exit(0)\n"
    assert run(sandbox, tmp_path, code)[0] == "no-record"


def test_a_killed_warm_parent_is_started_again(tmp_path: Path) -> None:
    with Sandbox(tier=Tier.C) as own:
        assert run(own, tmp_path, "raise ValueError(1)")[0] == "done"
        parent = own._parent
        assert parent is not None
        parent.kill()
        assert run(own, tmp_path, "raise ValueError(1)")[0] == "done"
        assert run(own, tmp_path, "raise ValueError(2)") == (
            "done",
            "importing submission.py raised ValueError: 2",
        )


def test_sources_beyond_their_limits_and_an_empty_folder_are_answers(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    assert sandbox.extract(tmp_path).status == "done"  # "there is no file submission.py"
    (tmp_path / "submission.py").write_text("x = 1\n" * 10_000)
    found = sandbox.extract(tmp_path, limits=SandboxLimits(source_bytes=1000))
    assert (found.status, found.captured) == ("crashed", b"")
    assert "at most" in found.message


def test_a_program_that_ends_its_guard_is_for_a_person_to_look_at(tmp_path: Path) -> None:
    with Sandbox(tier=Tier.C) as own:
        code = "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)"
        status, message = run(own, tmp_path, code)
        assert status == "killed"
        assert "lost 2 times, though the sandbox works" in message
        assert run(own, tmp_path, "raise ValueError(2)")[0] == "done"


@pytest.mark.parametrize(
    "names",
    [
        ["submission.py", "a.py", "a.py/b.py"],
        ["submission.py", f"{'n' * 300}.py"],
        ["submission.py", f"{'d/' * 2000}n.py"],
        ["submission.py", "a\0b.py"],
    ],
)
def test_names_that_no_disk_takes_are_the_submissions_fault(
    sandbox: Sandbox, names: list[str]
) -> None:
    found = sandbox.extract(dict.fromkeys(names, b"x = 1\n"))
    assert found.status == "crashed"
    assert "can't be written to a disk" in found.message


_IS_KILLED = """
import os, signal, sys
from eva.grading.sandbox.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "submission").mkdir()
    (folder / "submission" / "secret_work.py").write_text("x = 1")
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_sources_of_a_killed_process_are_gone_at_the_next_start() -> None:
    ran = subprocess.run([sys.executable, "-c", _IS_KILLED], capture_output=True, text=True)
    left = Path(ran.stdout.strip())
    assert ran.returncode == -signal.SIGKILL and (left / "submission" / "secret_work.py").exists()
    with scratch_folder() as other, scratch_folder() as another:
        assert not left.exists()
        assert other.exists() and another.exists(), "those in use stay"


def test_walls_that_can_not_be_put_up_are_the_graders_trouble(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    with pytest.raises(GradingError, match="lost the program 2 times"):
        run(sandbox, tmp_path, "raise ValueError(1)", open_files=-5)
    assert run(sandbox, tmp_path, "raise ValueError(1)")[0] == "done"


def test_bubblewrap_that_does_not_start_is_the_graders_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "wrapper", lambda tier: ["/bin/sh", "-c", "echo no room >&2; exit 1"])
    with Sandbox(tier=Tier.C) as own, pytest.raises(GradingError, match="not start: no room"):
        run(own, tmp_path, "raise ValueError(1)")


def test_sources_that_can_not_be_read_are_the_graders_trouble(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(GradingError, match="Input/output error"):
        run(sandbox, tmp_path, "x = 1")


@pytest.mark.parametrize(
    ("end", "out_of_memory", "status"),
    [
        ({"end": "timeout", "cpu": 55.0}, False, "timeout"),
        ({"end": "timeout", "cpu": 900.0}, False, "timeout"),  # a fork bomb
        ({"end": "timeout", "cpu": 3.0}, False, "stalled"),  # it sleeps, or the machine is busy
        ({"end": "signal", "code": signal.SIGXCPU, "cpu": 60.1}, False, "timeout"),
        ({"end": "signal", "code": signal.SIGKILL, "cpu": 61.0}, False, "timeout"),
        ({"end": "signal", "code": signal.SIGKILL, "cpu": 1.0}, True, "memory"),
        ({"end": "signal", "code": signal.SIGKILL, "cpu": 1.0}, False, "killed"),
        ({"end": "signal", "code": signal.SIGSEGV, "cpu": 1.0}, True, "crashed"),
        ({"end": "exit", "code": 0, "cpu": 1.0}, False, "no-record"),
    ],
)
def test_the_clock_of_a_busy_machine_and_a_kill_from_outside_are_no_students_fault(
    end: dict[str, float], out_of_memory: bool, status: str
) -> None:
    found = ending_of(b"", end, key=bytes(32), limits=SandboxLimits(), out_of_memory=out_of_memory)
    assert found.status == status


def test_a_tier_that_is_missing_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    why_not.cache_clear()
    best_tier.cache_clear()
    monkeypatch.setattr(shutil, "which", lambda name: None)
    try:
        with pytest.raises(GradingError, match=r"(?s)bubblewrap is not installed.*apt-get install"):
            Sandbox(tier=Tier.A)
        assert best_tier() in (Tier.B, Tier.C)
    finally:
        why_not.cache_clear()
        best_tier.cache_clear()
