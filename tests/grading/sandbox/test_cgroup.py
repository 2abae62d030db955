"""Control groups: on a tree that looks like the kernel's, and on this machine as far as it goes."""

import subprocess
from pathlib import Path

import pytest

from eva.grading.sandbox import cgroup
from eva.grading.sandbox import sandbox as room
from eva.grading.sandbox.cgroup import Cgroup, new_group
from eva.grading.sandbox.outcome import MemoryLimit, SandboxLimits
from eva.grading.sandbox.sandbox import Sandbox
from eva.grading.sandbox.tiers import Tier

MIB = 1 << 20


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of this tree are real ones, so that its folders are not to be removed."""
    monkeypatch.setattr(cgroup, "_PATIENCE", 0.2)


def machine(folder: Path, *, given: str = "cpu memory pids", own: str = "/user/session") -> Path:
    """A folder like /proc/self, of a process in ``own``; ``given`` are the controllers of /user."""
    groups = folder / "cgroup"
    (groups / "user" / "session").mkdir(parents=True)
    for place, controllers in ((groups, "cpu"), (groups / "user", given)):
        (place / "cgroup.subtree_control").write_text(controllers)
    (groups / "user" / "session" / "cgroup.subtree_control").write_text("")
    proc = folder / "proc"
    proc.mkdir()
    (proc / "cgroup").write_text(f"4:memory:/old\n0::{own}\n")
    (proc / "mountinfo").write_text(
        "24 29 0:22 / /proc rw - proc proc rw\n"
        f"30 24 0:26 / {groups} rw,nosuid shared:9 - cgroup2 cgroup2 rw\n"
    )
    return proc


def test_a_group_is_made_beside_our_own_where_controllers_are_given(tmp_path: Path) -> None:
    group = new_group(machine(tmp_path))
    assert group is not None
    assert group.folder.parent == tmp_path / "cgroup" / "user"
    (group.folder / "memory.current").write_text(f"{300 * MIB}\n")
    group.mark()
    group.limit(memory_bytes=100 * MIB, processes=16)
    assert (group.folder / "memory.max").read_text() == str(400 * MIB)
    assert (group.folder / "pids.max").read_text() == "48"


def test_processes_enter_the_group_before_they_run(tmp_path: Path) -> None:
    group = Cgroup(tmp_path)
    done = subprocess.run(
        group.enter(["/bin/sh", "-c", 'echo "$$ $1"', "sh", "a b"]), capture_output=True, text=True
    )
    pid, argument = done.stdout.strip().split(" ", 1)
    assert (tmp_path / "cgroup.procs").read_text().strip() == pid
    assert argument == "a b"


def test_kills_are_read_from_the_groups_events(tmp_path: Path) -> None:
    assert Cgroup(tmp_path).kills() == 0
    (tmp_path / "memory.events").write_text("low 0\noom 3\noom_kill 2\noom_group_kill 0\n")
    assert Cgroup(tmp_path).kills() == 2


def test_a_group_is_removed_and_so_is_one_that_was_left_behind(tmp_path: Path) -> None:
    proc = machine(tmp_path)
    stale = tmp_path / "cgroup" / "user" / "eva-sandbox-1-1"
    stale.mkdir()
    group = new_group(proc)
    assert group is not None
    assert not stale.exists()
    for file in group.folder.iterdir():
        file.unlink()  # the kernel's files go with the folder
    group.close()
    assert not group.folder.exists()


@pytest.mark.parametrize("given", ["", "cpu memory", "cpuset pids"])
def test_without_both_controllers_there_is_no_group(tmp_path: Path, given: str) -> None:
    assert new_group(machine(tmp_path, given=given)) is None


def test_a_container_that_hides_its_groups_has_none(tmp_path: Path) -> None:
    assert new_group(tmp_path) is None  # no /proc at all
    proc = machine(tmp_path, own="/../elsewhere")
    (proc / "mountinfo").write_text("24 29 0:22 / /proc rw - proc proc rw\n")
    assert new_group(proc) is None


def test_a_group_that_can_not_be_limited_is_taken_away_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Cgroup, **limits: int) -> None:
        raise OSError(13, "Permission denied")

    monkeypatch.setattr(Cgroup, "limit", refuse)
    assert new_group(machine(tmp_path)) is None
    assert list((tmp_path / "cgroup" / "user").glob("eva-sandbox-*")) == []


def test_an_extraction_says_that_only_the_address_space_was_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "new_group", lambda: None)
    (tmp_path / "submission.py").write_text("raise ValueError(1)")
    with Sandbox(tier=Tier.C) as own:
        assert own.extract(tmp_path).memory_limit is MemoryLimit.ADDRESS_SPACE


def test_an_extraction_in_a_group_is_limited_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a tree like the kernel's: the limits are written, and the warm parent has entered."""
    proc = machine(tmp_path)
    group = new_group(proc)
    assert group is not None
    (group.folder / "memory.current").write_text(str(300 * MIB))
    monkeypatch.setattr(room, "new_group", lambda: group)
    (tmp_path / "submission.py").write_text("raise ValueError(1)")
    with Sandbox(tier=Tier.C, limits=SandboxLimits(memory_bytes=2000 * MIB)) as own:
        assert own.extract(tmp_path).memory_limit is MemoryLimit.CONTROL_GROUP
        assert own._parent is not None
        assert (group.folder / "cgroup.procs").read_text().strip() == str(own._parent.pid)
    assert (group.folder / "memory.max").read_text() == str(2300 * MIB)


def test_a_hoard_of_many_processes_is_ended_by_the_group(tmp_path: Path) -> None:
    """Each of them stays below its own limit."""
    group = new_group()
    if group is None:
        pytest.skip("this machine gives no control group with memory and pids")
    group.close()
    code = "import os\nos.fork()\nos.fork()\nkept = bytearray(90 * 1024 * 1024)\nwhile True: pass\n"
    (tmp_path / "submission.py").write_text(code)
    limits = SandboxLimits(memory_bytes=200 * MIB)
    with Sandbox(limits=limits) as own:
        found = own.extract(tmp_path)
    assert found.memory_limit is MemoryLimit.CONTROL_GROUP
    assert found.status in ("memory", "timeout")  # the first process, or one of its children
