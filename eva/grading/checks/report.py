"""Reports: what a student reads at the end, as text, in color and as JSON."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from eva.grading.checks.advice import Advice
from eva.grading.checks.rubric import (
    DEFAULT_ASSIGNMENT,
    Assignment,
    CheckSpec,
    Points,
    assignment_of,
    sum_points,
)
from eva.grading.checks.verdict import Status, Verdict
from eva.json_types import Json
from eva.record import Run, counted

REPORT_WIDTH = 80
MORE_HINTS = "--hints"
_STYLES = {
    Status.PASSED: "green",
    Status.FAILED: "bold red",
    Status.SKIPPED: "dim",
    Status.NEEDS_REVIEW: "bold yellow",
}
_ADVICE = "cyan"
_INDENT = "  "


@dataclass(frozen=True, kw_only=True)
class ReportRow:
    """One line of the table.

    Attributes:
        spec: What the check asks and is worth.
        verdict: How it ended.
    """

    spec: CheckSpec
    verdict: Verdict

    @property
    def earned(self) -> Points:
        """Points that are certain; an open check has none yet."""
        return self.spec.points if self.verdict.status is Status.PASSED else 0

    @property
    def score(self) -> str:
        """Such as "0/2"; "?/2" while a person has to decide, and "-" where there are no points."""
        if not self.spec.points:
            return "-"
        open_ = self.verdict.status is Status.NEEDS_REVIEW
        return f"{'?' if open_ else f'{self.earned:g}'}/{self.spec.points:g}"

    def explain(self, hints: int = 0) -> str:
        """The whole message: what is wrong with their numbers, their own frames, a question.

        Args:
            hints: Questions to show beyond the first; a check that passed shows none.
        """
        status = self.verdict.status
        first, *more = self.verdict.message.splitlines() or [""]
        head = f"{status.value.upper()} {first}"
        lines = [*_wrap(head, ""), *(line for text in more for line in _wrap(text, _INDENT))]
        if self.verdict.trace:
            lines += textwrap.indent(self.verdict.trace.rstrip(), _INDENT).splitlines()
        if status is Status.FAILED:
            shown = self.spec.hints[: 1 + hints]
            left = len(self.spec.hints) - len(shown)
            for hint in shown:
                lines += _wrap(f"Hint: {hint}", _INDENT)
            if hints and left:
                again = " ".join([MORE_HINTS] * (hints + 1))
                lines.append(f"{_INDENT}({left} more: {again})")
        return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class Report:
    """How a submission did, check by check.

    Attributes:
        submission: As it was named.
        assignment: With titles, points and hints.
        rows: One a check, in the rubric's order.
        run: The training that decided the last checks, if there was one.
        files: Record and pictures of that training.
        outside: What failed outside the submission, such as missing data; None where nothing did.
        hints: Questions shown for each failed check beyond the first.
        advice: What usually goes better, though no check asks for it.
    """

    submission: str
    assignment: Assignment
    rows: tuple[ReportRow, ...]
    run: Run | None = None
    files: tuple[Path, ...] = ()
    outside: str | None = None
    hints: int = 0
    advice: tuple[Advice, ...] = ()

    @classmethod
    def of(
        cls,
        assignment: Assignment,
        submission: str,
        verdicts: Mapping[str, Verdict],
        *,
        skipped: str = "not run",
        run: Run | None = None,
        files: tuple[Path, ...] = (),
        outside: str | None = None,
        hints: int = 0,
        advice: tuple[Advice, ...] = (),
    ) -> Report:
        """Put verdicts in the rubric's order; a check without one was skipped, for this reason."""
        rows = [
            ReportRow(
                spec=spec,
                verdict=verdicts.get(check)
                or Verdict(
                    check=check,
                    status=Status.SKIPPED,
                    message=f"{spec.title}: {skipped}",
                    details={"note": skipped},
                ),
            )
            for check, spec in assignment.checks.items()
        ]
        return cls(
            submission=submission,
            assignment=assignment,
            rows=tuple(rows),
            run=run,
            files=files,
            outside=outside,
            hints=hints,
            advice=advice,
        )

    @property
    def points(self) -> Points:
        """Points earned."""
        return sum_points(row.earned for row in self.rows)

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(row.verdict.status is Status.PASSED for row in self.rows)

    @property
    def exit_code(self) -> int:
        """0 where no check failed; 1 where one failed or waits for a person; 3 without data."""
        open_ = {Status.FAILED, Status.NEEDS_REVIEW}
        if any(row.verdict.status in open_ for row in self.rows):
            return 1
        return 0 if self.outside is None else 3

    def explanations(self) -> list[str]:
        """Messages of all checks that failed or wait for a person."""
        open_ = {Status.FAILED, Status.NEEDS_REVIEW}
        return [row.explain(self.hints) for row in self.rows if row.verdict.status in open_]

    def table(self) -> Text:
        """Check, points, status, total, advice, and what to do next; in color.

        Lines have at most 80 columns, but for names of files.
        """
        text = Text()
        text.append(f"{self.assignment.name}  {self.submission}\n", style="bold")
        text.append(f" {'#':>2}  {'check':<36}  points  status\n", style="dim")
        for number, row in enumerate(self.rows, start=1):
            status = row.verdict.status
            text.append(f" {number:>2}  {row.spec.title:<36}  {row.score:>6}  ")
            text.append(status.value, style=_STYLES[status])
            text.append(f"{_note(row.verdict, REPORT_WIDTH - 51 - len(status))}\n")
        text.append(f"     {'total':<36}  {self._total():>6}\n", style="bold")
        for file in self.files:
            text.append(f"     {file}\n", style="dim")
        for advice in self.advice:
            text.append("\n".join(_wrap(str(advice), "")) + "\n", style=_ADVICE)
        text.append("\n".join(_wrap(f"Next: {self.next_step()}", "")))
        return text

    def next_step(self) -> str:
        """What to do now, in a sentence or two."""
        for number, row in enumerate(self.rows, start=1):
            if row.verdict.status is Status.FAILED:
                worth = f" ({_points(row.spec.points)})" if row.spec.points else ""
                more = (
                    f" A further question comes with {MORE_HINTS}."
                    if self.hints < len(row.spec.hints) - 1
                    else ""
                )
                return f"check {number}, {row.spec.title}{worth}.{more}"
        for number, row in enumerate(self.rows, start=1):
            if row.verdict.status is Status.NEEDS_REVIEW:
                return f"show check {number} to your instructor: the reason is above."
        if self.outside is not None:
            return self.outside
        if not self.passed:
            return f"so far so good; now all of it: {self._everything()}."
        points = _points(self.assignment.points)
        return (
            f"all {points} are yours: hand it in. This is practice, which "
            "a submission could fake; the grade is made from what you hand in."
        )

    def to_json(self) -> dict[str, Json]:
        """The whole report as JSON values; the run stays in its record, named in ``files``."""
        checks: list[Json] = [
            {
                "check": row.verdict.check,
                "title": row.spec.title,
                "status": row.verdict.status.value,
                "points": row.earned,
                "possible": row.spec.points,
                "message": row.verdict.message,
                "details": row.verdict.details,
                "trace": row.verdict.trace,
            }
            for row in self.rows
        ]
        return {
            "submission": self.submission,
            "assignment": self.assignment.name,
            "points": self.points,
            "possible": self.assignment.points,
            "passed": self.passed,
            "outside": self.outside,
            "checks": checks,
            "advice": [advice.to_json() for advice in self.advice],
            "files": [str(file) for file in self.files],
        }

    def _everything(self) -> str:
        """The command that runs all checks on this submission."""
        place = Path(self.submission)
        if not self.assignment.trains:  # so pytest alone has its checks
            folder = place.parent if place.suffix in (".py", ".ipynb") else place
            return f"`pytest {_typed(str(folder))}`"
        named = self.assignment.name
        found = named == DEFAULT_ASSIGNMENT or assignment_of(place) != DEFAULT_ASSIGNMENT
        more = "" if found else f" --assignment {named}"
        return f"`eva grade {_typed(self.submission)}{more}`"

    def _total(self) -> str:
        return f"{self.points:g}/{self.assignment.points:g}"

    def __str__(self) -> str:
        """Explanations of what failed, then the table, without colors."""
        return "\n\n".join([*self.explanations(), self.table().plain])

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        """What a notebook shows: the text, in the letters of a terminal."""
        return {"text/plain": str(self), "text/html": f"<pre>{html.escape(str(self))}</pre>"}

    def __rich__(self) -> Text:
        """The same as :meth:`__str__`, in color."""
        text = Text()
        for explanation in self.explanations():
            status, space, rest = explanation.partition(" ")
            text.append(status, style=_STYLES[Status(status.lower())])
            text.append(f"{space}{rest}\n\n")
        return text + self.table()


def _note(verdict: Verdict, room: int) -> str:
    """A few words beside the status: the reason of a skip, or the number that decided."""
    match verdict.details:
        case {"note": str(note)}:
            text = f": {note}"
        case {"parameters": int(count)}:
            text = f": {count:,}"
        case {"epochs": int(count)}:
            text = f": {counted(count, 'epoch')}"
        case _:
            text = ""
    return text if len(text) <= room else f"{text[: room - 1]}…"


def _typed(path: str) -> str:
    """A path as any shell takes it."""
    return f'"{path}"' if " " in path else path


def _points(count: Points) -> str:
    return "1 point" if count == 1 else f"{count:g} points"  # there are halves


def _wrap(text: str, indent: str) -> list[str]:
    """Lines of at most 80 columns."""
    return textwrap.wrap(
        text.strip(),
        REPORT_WIDTH,
        initial_indent=indent,
        subsequent_indent=indent or _INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]
