"""Every cheat is refused at tier A, and the submission after it is graded as if nothing happened.

``attacks/`` holds what must never run outside a sandbox, ``cheats/`` what a graph shows.
"""

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from eva.grading.checks.rubric import load_assignment
from eva.grading.checks.verdict import Status
from eva.grading.judge.admitted import Admitted
from eva.grading.judge.initial_weights import draw_initial
from eva.grading.judge.judge import judge_static
from eva.grading.sandbox.outcome import Extraction, SandboxLimits
from eva.grading.sandbox.sandbox import Sandbox

SUBMISSIONS = Path(__file__).parents[1] / "submissions"
ALL_ATTACKS = sorted((SUBMISSIONS / "attacks").glob("*.py"))
CHEATS = sorted((SUBMISSIONS / "cheats").glob("*.py"))
HONEST = sorted((SUBMISSIONS / "honest").glob("*.py"))
SHORT = SandboxLimits(wall_seconds=3, cpu_seconds=2)
RUBRIC = load_assignment("mnist_8k")
STATUS = {  # how the process ends; all others give a whole record
    "exit_at_import": "no-record",
    "exit_in_forward": "no-record",
    "prints_results": "no-record",
    "kills_everybody": "no-record",
    "endless_loop": "timeout",
    "sleeps": "stalled",
    "ignores_signals": "stalled",
    "patched_clock": "timeout",
    "crash": "crashed",
}
EITHER = {  # where it depends on the moment
    "fork_bomb": ("timeout", "stalled"),  # on a busy machine it computes less
    "hundred_gigabytes_of_output": ("timeout", "stalled", "output", "no-record"),
}
WORTHLESS = {"trains_while_built", "own_seed"}  # accepted: what it brings is thrown away, see below
WORDS = {  # what the student reads, where the reason must be the right one
    "exit_at_import": "ended itself",
    "sys_exit": "SystemExit",
    "keyboard_interrupt": "KeyboardInterrupt",
    "hundred_gigabytes_of_memory": "MemoryError",
    "hundred_gigabytes_of_tensors": "allocate",
    "hundred_gigabytes_of_disk": "the disk is full",
    "label_files": "no labels anywhere",
    "labels_in_memory": "no labels in memory",
    "workflow_commands": "nothing to steal",
    "edits_eva": "nothing here can be edited",
    "own_augmentation": "augment",
    "own_optimizer": "optimizer",
    "sixty_epochs": "at most 15",
    "patched_checks": "global average pooling",
    "patched_argmax": "global average pooling",
    "forged_record": "neither a graph nor a reason",
}
ATTACKS = [path for path in ALL_ATTACKS if path.stem not in WORTHLESS]
BRIEF = {*(n for n, end in STATUS.items() if end in ("timeout", "stalled")), *EITHER}
BRIEF -= {"training_in_a_hook"}
ENDS_BY_CPU = {"endless_loop", "patched_clock"}  # at 2 s of it, however busy the machine is


def name(path: Path) -> str:
    return path.stem


def extract(
    sandbox: Sandbox, folder: Path, path: Path, short: bool = False, computes: bool = False
) -> Extraction:
    shutil.copy(path, folder / "submission.py")
    limits = replace(SHORT, wall_seconds=60) if computes else SHORT
    return sandbox.extract(folder, limits=limits if short else None)


def refusals(submitted: Admitted) -> list[str]:
    return [v.message for v in submitted.verdicts.values() if v.status is not Status.PASSED]


@pytest.fixture(scope="session")
def before(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What an honest submission gives while nobody has attacked yet."""
    found = extract(sandbox, tmp_path_factory.mktemp("before"), HONEST[0])
    assert found.status == "done"
    return found.captured


@pytest.mark.parametrize("path", ATTACKS, ids=name)
def test_attack_is_refused_at_tier_a(
    path: Path, sandbox: Sandbox, before: bytes, tmp_path: Path
) -> None:
    found = extract(sandbox, tmp_path, path, name(path) in BRIEF, name(path) in ENDS_BY_CPU)
    assert found.tier == "A"
    ends = EITHER.get(name(path), (STATUS.get(name(path), "done"),))
    assert found.status in ends, found.message
    submitted = judge_static(found, RUBRIC)
    assert refusals(submitted)
    assert {v.status for v in submitted.verdicts.values()} <= set(Status)
    assert WORDS.get(name(path), "") in "\n".join(refusals(submitted))


def test_training_in_a_forked_process_does_not_abort_it(sandbox: Sandbox, tmp_path: Path) -> None:
    """One in twenty did, for its threads asked PyTorch for a new pool of threads at once."""
    for _ in range(20):
        found = extract(sandbox, tmp_path, SUBMISSIONS / "attacks" / "trains_while_built.py")
        assert found.status == "done", found.message


def test_training_before_handing_in_gains_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    trained = extract(sandbox, tmp_path, SUBMISSIONS / "attacks" / "trains_while_built.py")
    (tmp_path / "submission.py").write_text(
        "from torch import nn\nfrom eva import Recipe\nRECIPE = Recipe()\n"
        "def build_model():\n"
        "    return nn.Sequential(nn.Conv2d(1, 10, 5), nn.AdaptiveAvgPool2d(1), nn.Flatten())\n"
    )
    plain = sandbox.extract(tmp_path)
    for found in (trained, plain):
        assert found.status == "done", found.message
    assert trained.captured != plain.captured
    first, second = judge_static(trained, RUBRIC), judge_static(plain, RUBRIC)
    assert first.digest == second.digest != ""  # the same seeds, and so the same training
    assert first.graph is not None and second.graph is not None
    assert draw_initial(first.graph, 7).to_bytes() == draw_initial(second.graph, 7).to_bytes()


@pytest.mark.parametrize("path", CHEATS, ids=name)
def test_cheat_is_refused_from_what_comes_out_of_the_sandbox(
    path: Path, sandbox: Sandbox, tmp_path: Path
) -> None:
    found = extract(sandbox, tmp_path, path)
    assert found.status == "done"
    assert refusals(judge_static(found, RUBRIC))


@pytest.mark.parametrize("path", HONEST, ids=name)
def test_honest_submission_is_accepted_from_what_comes_out_of_the_sandbox(
    path: Path, sandbox: Sandbox, tmp_path: Path
) -> None:
    found = extract(sandbox, tmp_path, path)
    submitted = judge_static(found, RUBRIC)
    assert refusals(submitted) == []
    assert len(submitted.digest) == 64


@pytest.mark.parametrize("attack", ["poisoned_cache", "patched_checks", "background_process"])
def test_next_submission_is_captured_byte_for_byte_as_before(
    attack: str, sandbox: Sandbox, before: bytes, tmp_path: Path
) -> None:
    extract(sandbox, tmp_path, SUBMISSIONS / "attacks" / f"{attack}.py")
    assert extract(sandbox, tmp_path, HONEST[0]).captured == before


def test_nothing_of_a_fork_bomb_or_a_background_process_survives(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    def processes() -> set[str]:
        return {entry for entry in os.listdir("/proc") if entry.isdigit()} & set(_descendants())

    extract(sandbox, tmp_path, HONEST[0])
    alive = len(processes())
    extract(sandbox, tmp_path, SUBMISSIONS / "attacks" / "background_process.py", short=True)
    extract(sandbox, tmp_path, SUBMISSIONS / "attacks" / "fork_bomb.py", short=True)
    end = time.monotonic() + 30
    while len(processes()) > alive and time.monotonic() < end:
        time.sleep(0.05)  # the guard says what it has seen and then ends
    assert len(processes()) <= alive


def _descendants() -> list[str]:
    """Ids of all processes below this one."""
    parents = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = Path("/proc", entry, "stat").read_text()
        except OSError:
            continue
        parents[entry] = stat.rpartition(")")[2].split()[1]
    found = [str(os.getpid())]
    for parent in found:
        found += [child for child, of in parents.items() if of == parent]
    return found[1:]


def test_a_seed_of_ones_own_brings_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    """Honest files set one, too; whichever it is, the judge trains from the same weights."""
    attack = SUBMISSIONS / "attacks" / "own_seed.py"
    other = tmp_path / "other.py"
    other.write_text(attack.read_text().replace("4711", "4712"))
    (tmp_path / "work").mkdir()
    graphs = []
    for path in (attack, other):
        submitted = judge_static(extract(sandbox, tmp_path / "work", path), RUBRIC)
        assert not refusals(submitted)
        assert submitted.graph is not None
        graphs.append(submitted.graph)
    assert graphs[0].to_bytes() != graphs[1].to_bytes()
    assert draw_initial(graphs[0], 7).to_bytes() == draw_initial(graphs[1], 7).to_bytes()


def test_files_beside_the_submission_do_nothing(
    sandbox: Sandbox, before: bytes, tmp_path: Path
) -> None:
    """conftest.py, tests of one's own, a stale .pyc, weights, a link out of the folder."""
    bad = SUBMISSIONS / "attacks" / "sixty_epochs.py"
    hook = "def pytest_runtest_makereport(item, call): raise SystemExit(0)\n"
    (tmp_path / "conftest.py").write_text(hook)
    (tmp_path / "test_mine.py").write_text("def test_that_always_passes(): pass\n")
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "submission.cpython-311.pyc").write_bytes(b"stale")
    (tmp_path / "weights.pt").write_bytes(bytes(100))
    (tmp_path / "secret.py").symlink_to("/etc/passwd")
    assert extract(sandbox, tmp_path, HONEST[0]).captured == before
    assert refusals(judge_static(extract(sandbox, tmp_path, bad), RUBRIC))
    (tmp_path / "submission.py").write_text(
        "import os\nraise RuntimeError(sorted(os.listdir('.')))\n"
    )
    listed = judge_static(sandbox.extract(tmp_path), RUBRIC).verdicts["imports"].message
    assert "['conftest.py', 'submission.py', 'test_mine.py']" in listed


def test_a_link_in_place_of_the_submission_is_not_followed(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "submission.py").symlink_to(HONEST[0])
    verdicts = judge_static(sandbox.extract(tmp_path), RUBRIC).verdicts
    assert verdicts["imports"].status is Status.FAILED
    assert "there is no file submission.py" in verdicts["imports"].message
