"""Kinds of checks: functions that say what they need, and the one way to run them.

A kind is registered where it is written, and its keyword arguments are the numbers that a rubric
gives it::

    @check("parameters", needs=("imports",))
    def parameters(candidate: Candidate, *, below: int) -> Verdict: ...

A rubric asks for it under an id of its own: ``[checks.under_8k]`` with ``kind = "parameters"`` and
``below = 8_000``. An instructor's ``checks.py`` beside the rubric declares further kinds.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from types import ModuleType
from typing import Any

from pydantic import create_model

from eva.errors import GradingError
from eva.grading.checks.verdict import Status, Verdict
from eva.json_types import FrozenModel

_Answer = Callable[..., Verdict]
_FILES = ("fast", "operations", "accuracy")  # each declares kinds of its own
_MARK = "_eva_check"


class _Numbers(FrozenModel, strict=True):
    """What a rubric may give a check; each kind has its own."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """A kind of check.

    Attributes:
        kind: Its name.
        needs: Kinds that must not have failed, or it is not looked at.
        trains: It is asked of a training's record, and else of a candidate. A candidate is
            trained when none of its checks has failed.
        answer: Takes a candidate (or a :class:`~eva.grading.checks.accuracy.Measured`), and the
            numbers by keyword.
        numbers: Reads the numbers strictly.
        value: A training's result in percent, compared with the number ``accuracy``. Several
            trainings are decided by its median; without it, by what most of them pass.
        words: What that value is, such as "best".
    """

    kind: str
    needs: tuple[str, ...]
    trains: bool
    answer: _Answer
    numbers: type[FrozenModel]
    value: Callable[..., float] | None = None
    words: str = ""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A check as a rubric asks for it.

    Attributes:
        id: In the rubric.
        title: Likewise.
        check: The kind.
        needs: Ids that must not have failed.
        numbers: That the rubric gives.
        foreign: It is an instructor's own, which may raise.
    """

    id: str
    title: str
    check: Check
    needs: tuple[str, ...] = ()
    numbers: Mapping[str, Any] = field(default_factory=dict)
    foreign: bool = False

    def answer(self, subject: Any) -> Verdict:
        """Ask it of a candidate, or of the record of a training."""
        try:
            verdict = self.check.answer(subject, **self.numbers)
            if not isinstance(verdict, Verdict):
                raise TypeError(f"it returned {type(verdict).__name__}, not a Verdict")
        except Exception as error:
            if not self.foreign:
                raise
            said = f"{type(error).__name__}: {error}".splitlines()[0]
            verdict = Verdict.review(
                f"{self.title}: the check could not answer.\n  checks.py raised {said}"
            )
        return replace(verdict, check=self.id)

    def value(self, subject: Any) -> float | None:
        """What of a training is compared with :attr:`target`; None where nothing is."""
        return None if self.check.value is None else self.check.value(subject, **self.numbers)

    @property
    def target(self) -> float:
        """The accuracy in percent that decides; 0 where none does."""
        return float(self.numbers.get("accuracy", 0.0))


def check(
    kind: str,
    *,
    needs: tuple[str, ...] = (),
    trains: bool = False,
    value: Callable[..., float] | None = None,
    words: str = "",
) -> Callable[[_Answer], _Answer]:
    """Declare a function as a kind of check; see :class:`Check` for the arguments.

    Raises:
        GradingError: An annotation of its keyword arguments can't be read.
    """

    def declare(answer: _Answer) -> _Answer:
        numbers = _numbers_of(kind, answer)
        found = Check(
            kind=kind,
            needs=needs,
            trains=trains,
            answer=answer,
            numbers=numbers,
            value=value,
            words=words,
        )
        setattr(answer, _MARK, found)
        return answer

    return declare


def _numbers_of(kind: str, answer: _Answer) -> type[FrozenModel]:
    """A model of the keyword arguments of a check."""
    try:
        given = inspect.signature(answer, eval_str=True).parameters.values()
    except NameError as error:
        raise GradingError(
            f"the annotations of the check {kind!r} can't be read: {error}"
        ) from error
    fields: dict[str, Any] = {}
    for one in given:
        if one.kind is inspect.Parameter.KEYWORD_ONLY:
            annotation = Any if one.annotation is inspect.Parameter.empty else one.annotation
            default = ... if one.default is inspect.Parameter.empty else one.default
            fields[one.name] = (annotation, default)
    return create_model(f"{kind}_numbers", __base__=_Numbers, **fields)


@cache
def known_kinds() -> dict[str, Check]:
    """All kinds of checks that eva has, by name."""
    files = [importlib.import_module(f"eva.grading.checks.{file}") for file in _FILES]
    return {kind: found for file in files for kind, found in _declared(file).items()}


@cache
def own_kinds(source: str) -> dict[str, Check]:
    """The kinds that an instructor's ``checks.py`` declares, by name; it is run, and trusted.

    Args:
        source: Text of the file; empty where there is none.

    Raises:
        GradingError: It can't be run, or a kind has a name of eva's.
    """
    if not source:
        return {}
    module = ModuleType("checks")
    module.__file__ = "checks.py"
    try:
        exec(compile(source, "checks.py", "exec"), module.__dict__)
    except Exception as error:  # whatever an instructor's code raises
        line = getattr(error, "lineno", None) or _last_line(error)
        raise GradingError(
            f"checks.py can't be run: line {line}: {type(error).__name__}: {error}"
        ) from error
    found = _declared(module)
    taken = sorted(found.keys() & known_kinds().keys())
    if taken:
        raise GradingError(f"checks.py declares {taken[0]!r}, which is a kind of eva's own.")
    return found


def _declared(module: ModuleType) -> dict[str, Check]:
    """Kinds that a module declares itself; what it imports is none of them."""
    marked = [
        getattr(value, _MARK)
        for value in vars(module).values()
        if hasattr(value, _MARK) and value.__module__ == module.__name__
    ]
    found: dict[str, Check] = {one.kind: one for one in marked}
    if len(found) < len(marked):
        names = [one.kind for one in marked]
        twice = next(name for name in names if names.count(name) > 1)
        raise GradingError(f"two checks are called {twice!r}.")
    return found


def _last_line(error: BaseException) -> int:
    """The last line of ``checks.py`` that was reached."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "checks.py":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def run_checks(
    checks: Iterable[Asked], subject: Any, before: Mapping[str, Verdict] | None = None
) -> dict[str, Verdict]:
    """Run checks in order; one whose needs have failed, or were skipped, is skipped.

    Args:
        checks: All of a candidate, or all of a training.
        subject: The candidate, or the record of its training.
        before: Verdicts of checks that these may need.
    """
    verdicts = dict(before or {})
    found: dict[str, Verdict] = {}
    for one in checks:
        why = _in_the_way(one, verdicts)
        verdict = (
            one.answer(subject)
            if why is None
            else Verdict.skipped(f"{one.id}: not looked at, as {why}.", {"note": why})
        )
        found[one.id] = verdicts[one.id] = replace(verdict, check=one.id)
    return found


def _in_the_way(one: Asked, verdicts: Mapping[str, Verdict]) -> str | None:
    for need in one.needs:
        status = verdicts[need].status if need in verdicts else Status.PASSED
        if status is Status.FAILED:
            return f"the check of {need} failed"
        if status is Status.SKIPPED:
            return f"the check of {need} was skipped"
    return None
