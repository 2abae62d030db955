"""A study survives SIGKILL with no seed lost or run twice, and its summary says no more than n."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from eva.cli import app
from eva.data import Dataset
from eva.errors import DeviceError, EvaError, RecordError, TrainingError
from eva.jobs import Answer, Plan, default_jobs, perform
from eva.kernels.cpu_kernels import compiler
from eva.record import Run
from eva.studies import run_study, summarize, wilson
from eva.studies.summary import Z
from eva.submission import load_submission
from eva.training.trainer import Trainer

SUBMISSION = """
from torch import nn
from eva.blocks import conv_block, gap_head
from eva.recipe import SGD, Recipe, Rotation, Triangular

def build_model():
    return nn.Sequential(nn.MaxPool2d(4), conv_block(1, 4, dropout=0.1), gap_head(4))

RECIPE = Recipe(
    epochs=2,
    batch_size=500,
    optimizer=SGD(lr=0.05),
    schedule=Triangular(),
    augment=(Rotation(degrees=5),),
)
"""
RECORDS = Path(__file__).parents[2] / "docs" / "records"


class InlineEngine:
    """Does a task in this process when its answer is asked for."""

    slots = 2

    def __init__(self, plan: Plan, *, dies_at: int | None = None) -> None:
        self._plan, self._dies_at = plan.to_json(), dies_at
        self._waiting: list[tuple[str, Any]] = []
        self.done: list[int] = []

    def submit(self, name: str, task: Any) -> None:
        assert len(self._waiting) < self.slots
        self._waiting.append((name, json.loads(json.dumps(task))))

    def wait(self, seconds: float) -> list[Answer]:
        name, task = self._waiting.pop()
        if task["index"] == self._dies_at:
            return [Answer(task=name, error="the worker was lost 3 times under this task")]
        self.done.append(task["index"])
        return [Answer(task=name, **perform(self._plan, task))]

    def close(self) -> None:
        self._waiting.clear()


@pytest.fixture
def submission(tmp_path: Path) -> Path:
    path = tmp_path / "net.py"
    path.write_text(SUBMISSION)
    return path


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch, mini: Dataset) -> list[InlineEngine]:
    """All engines that studies made, in this process and with the data at hand."""
    made: list[InlineEngine] = []

    def make(name: str, plan: Plan, **rest: object) -> InlineEngine:
        made.append(InlineEngine(plan))
        return made[-1]

    monkeypatch.setattr("eva.studies.run.select_engine", make)
    monkeypatch.setattr("eva.studies.run.load_data", lambda name, folder: mini)
    return made


def study_of(submission: Path, out: Path, **more: Any) -> Any:
    return run_study(str(submission), out=out, data="mnist-mini", device="cpu", **more)


def measured(run: Run) -> list[tuple[object, ...]]:
    """All that two trainings with one seed must agree in."""
    return [(row.lr, row.train_loss, row.test_loss, row.wrong) for row in run.rows]


def test_a_seed_of_a_study_is_the_run_that_eva_train_gives(
    submission: Path, tmp_path: Path, engines: list[InlineEngine], mini: Dataset
) -> None:
    study_of(submission, tmp_path / "out", seeds=2)
    for seed in range(2):
        recorded = Run.load(tmp_path / "out" / f"seed{seed}.json")
        loaded = load_submission(submission)
        trainer = Trainer(loaded.build(seed), loaded.recipe, mini, device="cpu", seed=seed)
        assert measured(recorded) == measured(trainer.fit())
        assert recorded.submission == str(submission)
        assert recorded.status == "finished"


def test_more_seeds_are_added_and_none_is_trained_again(
    submission: Path, tmp_path: Path, engines: list[InlineEngine]
) -> None:
    first = study_of(submission, tmp_path / "out", seeds=2)
    second = study_of(submission, tmp_path / "out", seeds=4)
    third = study_of(submission, tmp_path / "out", seeds=3)
    assert [sorted(engine.done) for engine in engines] == [[0, 1], [2, 3]]
    assert second.rows[:2] == first.rows
    assert third.rows == second.rows[:3]
    assert json.loads((tmp_path / "out" / "study.json").read_text())["held"] == 0


def test_a_seed_that_kills_its_workers_costs_no_other(
    submission: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(
            "eva.studies.run.select_engine",
            lambda name, plan, **rest: InlineEngine(plan, dies_at=1),
        )
        with pytest.raises(TrainingError, match=r"1 of 3 seeds .* seed 1: the worker was lost"):
            study_of(submission, tmp_path / "out", seeds=3)
    assert sorted(path.name for path in (tmp_path / "out").glob("*.json")) == [
        "seed0.json",
        "seed2.json",
        "study.json",
    ]


def test_a_diverged_seed_counts_as_one_that_did_not_hold(
    submission: Path, tmp_path: Path, engines: list[InlineEngine]
) -> None:
    submission.write_text(SUBMISSION.replace("lr=0.05", "lr=1e38"))
    study = study_of(submission, tmp_path / "out", seeds=2)
    assert study.diverged == (0, 1)
    assert (study.seeds, study.held, study.share, study.final) == (2, 0, 0.0, None)
    study_of(submission, tmp_path / "out", seeds=2)
    assert len(engines) == 1, "divergence repeats itself and need not be seen twice"


def test_another_recipe_is_refused_in_the_same_folder(
    submission: Path, tmp_path: Path, engines: list[InlineEngine]
) -> None:
    study_of(submission, tmp_path / "out", seeds=1)
    for more in ({"epochs": 3}, {"holdout": 500}):
        with pytest.raises(RecordError, match=r"seed0.json belongs to another study: its"):
            study_of(submission, tmp_path / "out", seeds=2, **more)


def test_a_study_goes_on_with_the_same_network_by_another_path_and_with_no_other(
    submission: Path, tmp_path: Path, engines: list[InlineEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    study_of(submission, tmp_path / "out", seeds=1, epochs=1)
    monkeypatch.chdir(tmp_path)
    study_of(Path(submission.name), tmp_path / "out", seeds=1, epochs=1)
    assert len(engines) == 1, "the seed was not trained again"
    submission.write_text(SUBMISSION.replace("MaxPool2d(4)", "AvgPool2d(4)"))
    with pytest.raises(RecordError, match="its network is another, of as many parameters"):
        study_of(submission, tmp_path / "out", seeds=2, epochs=1)


@pytest.mark.skipif(shutil.which(compiler()) is None, reason="no compiler")
def test_compiled_and_plain_seeds_are_not_mixed(
    submission: Path, tmp_path: Path, engines: list[InlineEngine]
) -> None:
    study_of(submission, tmp_path / "out", seeds=1, compiled="on")
    assert Run.load(tmp_path / "out" / "seed0.json").device.compiled
    with pytest.raises(RecordError, match="its compiled is True, not False"):
        study_of(submission, tmp_path / "out", seeds=2, compiled="off")
    with pytest.raises(DeviceError, match="compiled auto, on or off, got 'maybe'"):
        study_of(submission, tmp_path / "out", seeds=2, compiled="maybe")


def test_a_study_goes_on_the_way_it_began(
    submission: Path, tmp_path: Path, engines: list[InlineEngine]
) -> None:
    out = tmp_path / "out"
    study_of(submission, out, seeds=1, epochs=1)
    assert Run.load(out / "seed0.json").path.startswith("Plain: compiling repays itself")
    study_of(submission, out, seeds=2, epochs=1)
    assert Run.load(out / "seed1.json").path == "Plain, as asked."


def test_two_processes_never_work_in_one_folder(
    submission: Path, tmp_path: Path, engines: list[InlineEngine]
) -> None:
    def again(run: Run, study: object) -> None:
        with pytest.raises(RecordError, match="another process works on the study"):
            study_of(submission, tmp_path / "out", seeds=2)

    study_of(submission, tmp_path / "out", seeds=1, show=again)


GATED = """
import os, time
from pathlib import Path

class Gate(nn.Module):
    # After an epoch, and once a seed is finished, this waits until the gate is open.
    steps = 0

    def forward(self, x):
        self.steps += self.training
        while self.steps > 10 and "GATE" in os.environ and not Path(os.environ["GATE"]).exists():
            if not list(Path(os.environ["OUT"]).glob("seed?.json")):
                break
            time.sleep(0.01)
        return x
"""


def start(submission: Path, out: Path, gate: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "eva", "study", str(submission), "--data", "mnist-mini"]
    command += ["--device", "cpu", "--out", str(out), "--seeds", "4", "--jobs", "2"]
    more = {"OMP_NUM_THREADS": "1", "GATE": str(gate), "OUT": str(out)}
    return subprocess.Popen(command, env=os.environ | more)


def workers(gate: Path) -> list[str]:
    """Processes of this test's studies that still live."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"GATE={gate}".encode() in (process / "environ").read_bytes():
                found.append(process.name)
    return found


def test_a_study_that_is_killed_loses_no_seed_and_runs_none_twice(
    submission: Path, tmp_path: Path, mini: Dataset
) -> None:
    """It is killed while it waits for the gate, so however fast the machine is, in mid-study."""
    text = SUBMISSION.replace("epochs=2", "epochs=4")
    text = text.replace("nn.Sequential(", "nn.Sequential(Gate(), ")
    submission.write_text(text.replace("def build_model", GATED + "\ndef build_model", 1))
    out, gate = tmp_path / "out", tmp_path / "gate"
    with start(submission, out, gate) as process:
        while process.poll() is None and not (
            list(out.glob("seed?.json")) and list((out / "unfinished").glob("seed?/record.json"))
        ):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    while workers(gate):
        time.sleep(0.01)  # they see that it is gone
    finished = {path: path.read_bytes() for path in out.glob("seed?.json")}
    begun_rows = {
        path.parent.name: Run.load(path).rows
        for path in (out / "unfinished").glob("seed?/record.json")
        if (out / f"{path.parent.name}.json") not in finished
    }
    assert finished and len(finished) < 4
    gate.touch()
    with start(submission, out, gate) as process:
        assert process.wait() == 0
    for path, content in finished.items():
        assert path.read_bytes() == content
    runs = {path.stem: Run.load(path) for path in out.glob("seed?.json")}
    assert sorted(runs) == ["seed0", "seed1", "seed2", "seed3"]
    for name, rows in begun_rows.items():  # equal in their seconds too: these epochs ran once
        assert runs[name].rows[: len(rows)] == rows
    assert not (out / "unfinished").exists()
    loaded = load_submission(submission)
    trainer = Trainer(loaded.build(3), loaded.recipe, mini, device="cpu", seed=3)
    assert measured(trainer.fit()) == measured(runs["seed3"])


def test_the_summary_of_recorded_runs_is_what_their_rows_say() -> None:
    runs = [Run.load(path) for path in sorted((RECORDS / "exp5").glob("seed*.json"))]
    study = summarize(runs)
    late = torch.tensor([[row.test_accuracy for row in run.rows[-4:]] for run in runs])
    assert study.held == int((late.min(dim=1).values >= 99.395).sum()) == 3
    assert study.final is not None and study.late is not None
    assert study.final.mean == pytest.approx(late[:, -1].mean().item())
    assert study.final.standard_deviation == pytest.approx(late[:, -1].std().item(), rel=1e-3)
    assert study.late.minimum == pytest.approx(late.min().item())
    assert study.parameters == 7753
    assert json.loads(study.to_json())["share"] == 0.6


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilsons_bounds_are_z_deviations_from_the_seen_share(
    pair: tuple[int, int],
) -> None:
    successes, trials = pair
    share = successes / trials
    low, high = wilson(successes, trials)
    assert 0 <= low <= share <= high <= 1
    for bound in (low, high):
        deviation = (bound * (1 - bound) / trials) ** 0.5
        # At 0 and 1, one of the two bounds is the share itself.
        assert abs(bound - share) == pytest.approx(Z * deviation, abs=1e-7)


def test_wilsons_interval_of_published_examples() -> None:
    # Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
    for successes, trials, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert wilson(successes, trials) == pytest.approx((low, high), abs=5e-5)


def test_the_command_prints_json_and_refuses_bad_usage(
    submission: Path, tmp_path: Path, engines: list[InlineEngine]
) -> None:
    command = ["study", str(submission), "--seeds", "2", "--data", "mnist-mini"]
    command += ["--device", "cpu", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, [*command, "--json"])
    assert result.exit_code == 0, result.output
    assert [row["seed"] for row in json.loads(result.stdout)["rows"]] == [0, 1]
    again = CliRunner().invoke(app, command)
    assert "0 of 2 seeds held 99.40 %" in " ".join(again.stdout.split())
    assert CliRunner().invoke(app, [*command, "--engine", "spark"]).exit_code == 2
    assert CliRunner().invoke(app, ["study", "nowhere.py"]).exit_code == 2


def test_no_seeds_and_no_jobs_are_errors(submission: Path, tmp_path: Path) -> None:
    for more in ({"seeds": 0}, {"jobs": 0}):
        with pytest.raises(EvaError, match="at least 1 seed and 1 job"):
            study_of(submission, tmp_path / "out", **more)
    assert default_jobs() >= 1


@pytest.mark.usefixtures("one_ray")
@pytest.mark.filterwarnings("ignore")  # of Ray about itself
def test_ray_gives_the_same_records(
    submission: Path, tmp_path: Path, engines: list[InlineEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    study_of(submission, tmp_path / "local", seeds=2)
    monkeypatch.undo()
    study_of(submission, tmp_path / "ray", seeds=2, jobs=2, engine="ray")
    for seed in range(2):
        local, ray = (Run.load(tmp_path / n / f"seed{seed}.json") for n in ("local", "ray"))
        assert measured(local) == measured(ray)
