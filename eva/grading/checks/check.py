"""Checks: functions that say their id and what they need, and the one way to run them.

A check is registered where it is written::

    @check("pooling", needs=("shapes",))
    def pooling(candidate: Candidate, limits: Limits) -> Verdict: ...

Its order is that of the declarations, and of the rubric where one is at hand.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from eva.errors import GradingError
from eva.grading.checks.verdict import Status, Verdict

_Answer = Callable[[Any, Any], Verdict]


@dataclass(frozen=True, kw_only=True)
class Check:
    """A registered check.

    Attributes:
        id: Its name in a rubric.
        needs: Checks that must not have failed, or it is not looked at.
        trains: It is asked of a training's record, and else of a candidate. A candidate is
            trained when none of its checks has failed.
        answer: Takes a candidate (or a record) and the limits.
    """

    id: str
    needs: tuple[str, ...]
    trains: bool
    answer: _Answer


_FILES = ("fast", "accuracy")  # each registers its own
_CHECKS: dict[str, Check] = {}


def check(
    name: str, *, needs: tuple[str, ...] = (), trains: bool = False
) -> Callable[[_Answer], _Answer]:
    """Register a function as a check; see :class:`Check` for the arguments.

    Raises:
        GradingError: The id is taken, or it needs a check that was not registered before it.
    """

    def register(answer: _Answer) -> _Answer:
        if name in _CHECKS:
            raise GradingError(f"two checks are called {name!r}.")
        missing = [need for need in needs if need not in _CHECKS]
        if missing:
            raise GradingError(f"the check {name!r} needs {missing[0]!r}, which is not declared.")
        _CHECKS[name] = Check(id=name, needs=needs, trains=trains, answer=answer)
        return answer

    return register


def known_checks(*, trains: bool | None = None) -> dict[str, Check]:
    """All checks by id, in their order.

    Args:
        trains: Those that need a training, or those that do not; both by default.
    """
    for file in _FILES:
        importlib.import_module(f"eva.grading.checks.{file}")
    # Whichever file was imported first, what needs a training comes last.
    ordered = sorted(_CHECKS.items(), key=lambda item: item[1].trains)
    return {name: c for name, c in ordered if trains in (None, c.trains)}


def run_checks(
    checks: Iterable[Check], subject: Any, limits: Any, before: Mapping[str, Verdict] | None = None
) -> dict[str, Verdict]:
    """Run checks in order; one whose needs have failed, or were skipped, is skipped.

    Args:
        checks: Of one kind.
        subject: The candidate, or the record of its training.
        limits: Of the assignment.
        before: Verdicts of checks that these may need.
    """
    verdicts = dict(before or {})
    found: dict[str, Verdict] = {}
    for one in checks:
        why = _in_the_way(one, verdicts)
        verdict = (
            one.answer(subject, limits)
            if why is None
            else Verdict.skipped(f"{one.id}: not looked at, as {why}.", {"note": why})
        )
        found[one.id] = verdicts[one.id] = replace(verdict, check=one.id)
    return found


def _in_the_way(one: Check, verdicts: Mapping[str, Verdict]) -> str | None:
    for need in one.needs:
        status = verdicts[need].status if need in verdicts else Status.PASSED
        if status is Status.FAILED:
            return f"the check of {need} failed"
        if status is Status.SKIPPED:
            return f"the check of {need} was skipped"
    return None
