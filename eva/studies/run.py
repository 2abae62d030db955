"""Many seeds of one submission: what a recipe is worth, beside what one run was lucky to get.

A study is a folder: ``seedN.json``, one record a seed, as ``eva train`` writes them, and
``study.json``, their summary. A record is moved into its place whole, so whatever kills a study,
the same command trains the seeds that have no record, from their last complete epoch.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from eva.data import DataName, Dataset, find_data, load_data
from eva.errors import EvaError, RecordError, SubmissionError, TrainingError
from eva.jobs import (
    Answer,
    Engine,
    EngineName,
    Kind,
    Plan,
    TaskResult,
    Work,
    default_jobs,
    select_engine,
)
from eva.kernels.compile import require_mode
from eva.record import DataInfo, Run, write_atomically
from eva.studies.summary import Study, summarize
from eva.submission import load_submission
from eva.training.device import select_device
from eva.training.trainer import Trainer
from eva.training.trial import try_model

UNFINISHED = "unfinished"
_KINDS = {"seed": Kind(seconds=6 * 3600, trains=True)}
_POLL = 5.0  # seconds
_PATIENCE = 1.0  # seconds for a process that was killed to be quite gone


@dataclass(frozen=True, kw_only=True)
class _Terms:
    """What a worker must know, as JSON values; paths are absolute.

    Attributes:
        submission: As it was named, for the record.
        target: What :func:`load_submission` takes.
        unfinished: Folder of checkpoints; None keeps none.
    """

    submission: str
    target: str
    epochs: int | None
    data: str
    data_dir: str | None
    holdout: int | None
    device: str
    compiled: str
    unfinished: str | None


def run_study(
    submission: str | Path,
    *,
    seeds: int = 10,
    out: str | Path | None = None,
    jobs: int | None = None,
    data: str = "auto",
    data_dir: str | Path | None = None,
    holdout: int | None = None,
    epochs: int | None = None,
    device: str = "auto",
    compiled: str = "auto",
    engine: EngineName | str = EngineName.LOCAL,
    address: str | None = None,
    gpus: float = 0.0,
    show: Callable[[Run, Study], None] = lambda run, study: None,
) -> Study:
    """Train a submission with the seeds 0, 1, ... or go on with that.

    Args:
        submission: A .py file, a notebook, a folder with one, or a dotted module name.
        seeds: How many.
        out: Folder of the study; default ``runs/NAME-study``.
        jobs: Trainings at once, one thread each; default: as many as cores and memory allow.
        data: As of :func:`eva.load_data`.
        data_dir: Folder that holds MNIST/raw.
        holdout: Test on so many training images set aside: for tuning, never the test set.
        epochs: In place of the recipe's own number.
        device: Where the seeds are trained: "auto", "cpu", "cuda" or "mps".
        compiled: As of :class:`eva.Trainer`; with "auto", a study goes on the way it began.
        engine: "local" or "ray". Nodes of a Ray cluster need the submission and the data at the
            same paths; a seed that is interrupted there starts anew.
        address: Where the Ray cluster is; None starts one on this machine.
        gpus: Share of a GPU that a training reserves on Ray.
        show: Called with each new record and the summary so far.

    Raises:
        SubmissionError: It can't be loaded or built.
        RecordError: The folder holds another study, or another process works in it.
        TrainingError: Some seeds could not be trained; all others are kept.
        EvaError: The data, the device or the cluster is not there.
    """
    if seeds < 1 or (jobs is not None and jobs < 1):
        raise EvaError(f"a study needs at least 1 seed and 1 job, got {seeds} and {jobs}.")
    if not isinstance(submission, str | Path):
        raise SubmissionError(
            "a study trains in processes of its own, which need a file.",
            "Save the network and RECIPE as a .py file or a notebook, and give its path.",
        )
    require_mode(compiled)
    submission, engine = str(submission), EngineName(engine)
    loaded = load_submission(submission)
    terms = _Terms(
        submission=submission,
        target=str(Path(submission).resolve()) if Path(submission).exists() else submission,
        epochs=epochs,
        data=data,
        data_dir=_folder(data, data_dir),
        holdout=holdout,
        device=_device(device, engine, gpus),
        compiled=compiled,
        unfinished=None,
    )
    dataset = _load(terms)
    kind = dataset.name.partition(",")[0]  # what "auto" found
    out = Path("runs") / f"{loaded.slug}-study" if out is None else Path(out)
    unfinished = str((out / UNFINISHED).resolve()) if engine is EngineName.LOCAL else None
    config = asdict(terms) | {"data": kind, "unfinished": unfinished}
    recipe = loaded.recipe.model_copy(update={} if epochs is None else {"epochs": epochs})
    expected: dict[str, Any] = {
        "recipe": recipe,
        "parameters": sum(p.numel() for p in loaded.build().parameters()),
        "data": _info(dataset),
    }
    with _locked(out):
        config["compiled"] = way = _way(out, seeds, compiled)
        if way != "auto":
            expected["compiled"] = way == "on"
        plan = Plan(make="eva.studies.run:make_work", config=config, kinds=_KINDS)
        if any(_record(out, seed).exists() for seed in range(seeds)):
            tried = try_model(loaded.build(), dataset, recipe.batch_size, torch.device("cpu"))
            expected["network"] = tried.network
        runs = _finished(out, seeds, expected)
        missing = [seed for seed in range(seeds) if seed not in runs]
        errors: dict[int, str] = {}
        if missing:
            workers = min(jobs or default_jobs(), len(missing))
            started = select_engine(engine, plan, jobs=workers, address=address, gpus=gpus)
            for answer in _answers(started, missing):
                seed = int(answer.task)
                if answer.result is None:
                    errors[seed] = answer.error or "no answer"
                    continue
                runs[seed] = run = Run.from_json(answer.result)
                run.save(_record(out, seed))
                shutil.rmtree(out / UNFINISHED / f"seed{seed}", ignore_errors=True)
                study = _summarize(out, runs)
                show(run, study)
        if errors:
            first = min(errors)
            raise TrainingError(
                f"{len(errors)} of {seeds} seeds could not be trained; seed {first}: "
                f"{errors[first]}",
                "The records of all others are kept; the same command tries these again.",
            )
        shutil.rmtree(out / UNFINISHED, ignore_errors=True)
        return _summarize(out, runs)


def _folder(data: str, data_dir: str | Path | None) -> str | None:
    """Where the data are, from whatever folder a worker looks; None where they must be fetched."""
    if data in (DataName.AUTO, DataName.MINI) or data not in list(DataName):
        data = DataName.MNIST  # what "auto" looks for; a name that is none is refused later
    folder = find_data(data, data_dir)
    return None if folder is None else str(folder.resolve())


def make_work(config: dict[str, Any]) -> Work:
    """What a worker does: load the data once, then train one seed a task."""
    terms = _Terms(**config)
    dataset = _load(terms)

    def work(task: dict[str, Any]) -> TaskResult:
        # The progress bars of several workers would write over each other.
        with redirect_stderr(io.StringIO()):
            run = train_seed(terms, dataset, task["index"])
        result: TaskResult = json.loads(run.to_json())
        return result

    return work


def train_seed(terms: _Terms, data: Dataset, seed: int) -> Run:
    """Train one seed, from its checkpoint where there is one; divergence is a result too."""
    loaded = load_submission(terms.target)
    recipe = loaded.recipe
    if terms.epochs is not None:
        recipe = recipe.model_copy(update={"epochs": terms.epochs})
    trainer = Trainer(
        loaded.build(seed),
        recipe,
        data,
        device=terms.device,
        compiled=terms.compiled,
        seed=seed,
        out=None if terms.unfinished is None else Path(terms.unfinished) / f"seed{seed}",
        name=terms.submission,
    )
    try:
        return trainer.fit(resume=True)
    except TrainingError:
        if trainer.run.status != "diverged":
            raise
        return trainer.run


def _device(name: str, engine: EngineName, gpus: float) -> str:
    """Device of the workers; a coordinator can't know what the nodes of a cluster have."""
    if engine is EngineName.RAY and name == "auto":
        return "cuda" if gpus else "cpu"
    return select_device(name).type if engine is EngineName.LOCAL else name


def _load(terms: _Terms) -> Dataset:
    data = load_data(terms.data, terms.data_dir)
    return data if terms.holdout is None else data.holdout(terms.holdout)


def _info(data: Dataset) -> DataInfo:
    return DataInfo(
        name=data.name,
        checksum=data.checksum,
        train_size=len(data.train_labels),
        test_size=len(data.test_labels),
    )


def _answers(engine: Engine, seeds: list[int]) -> Iterator[Answer]:
    """Train seeds, as many at once as the engine can; yield what came of each."""
    waiting, running = list(seeds), 0
    try:
        while waiting or running:
            while waiting and running < engine.slots:
                seed = waiting.pop(0)
                engine.submit(str(seed), {"kind": "seed", "index": seed})
                running += 1
            for answer in engine.wait(_POLL):
                running -= 1
                yield answer
    finally:
        engine.close()


def _record(out: Path, seed: int) -> Path:
    return out / f"seed{seed}.json"


def _way(out: Path, seeds: int, compiled: str) -> str:
    """How the seeds that are missing are trained: as the first that is there, unless told."""
    there = (path for seed in range(seeds) if (path := _record(out, seed)).exists())
    first = next(there, None)
    if compiled != "auto" or first is None:
        return compiled
    return "on" if Run.load(first).device.compiled else "off"


def _finished(out: Path, seeds: int, expected: dict[str, Any]) -> dict[int, Run]:
    """Records that are there, by seed.

    Raises:
        RecordError: One is damaged, or of another network, recipe or data set.
    """
    runs = {}
    for seed in range(seeds):
        path = _record(out, seed)
        if not path.exists():
            continue
        run = Run.load(path)
        for key, ours in (expected | {"seed": seed}).items():
            theirs = run.device.compiled if key == "compiled" else getattr(run, key)
            if key == "network" and ours and theirs and theirs != ours:
                raise RecordError(
                    f"{path} belongs to another study: its network is another, of as many "
                    "parameters.",
                    "Go on with the network as it was, or choose another folder with --out.",
                )
            if key != "network" and theirs != ours:
                raise RecordError(
                    f"{path} belongs to another study: its {key} is {theirs}, not {ours}.",
                    "Go on with what it was started with, or choose another folder with --out.",
                )
        if run.status in ("finished", "diverged"):
            runs[seed] = run
    return runs


def _summarize(out: Path, runs: dict[int, Run]) -> Study:
    study = summarize([runs[seed] for seed in sorted(runs)])
    write_atomically(out / "study.json", study.to_json().encode())
    return study


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Keep a second process out of the folder; the lock ends with this process, however it ends."""
    out.mkdir(parents=True, exist_ok=True)
    lock = FileLock(out / ".lock")
    try:
        lock.acquire(timeout=_PATIENCE)
    except Timeout as error:
        raise RecordError(
            f"another process works on the study in {out}.",
            "Wait for it, or choose another folder with --out.",
        ) from error
    try:
        yield
    finally:
        lock.release()
