"""The commands check, grade and watch; :func:`register` adds them to the app of ``eva.cli``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from eva.errors import EvaError
    from eva.grading.report import Report
    from eva.grading.rubric import Assignment

INTERRUPTED = 130

SubmissionArgument = Annotated[
    str, typer.Argument(help="A file, a folder with submission.py, or a dotted module name.")
]
AssignmentOption = Annotated[
    str, typer.Option("--assignment", help="Its name, or a folder with assignment.toml.")
]
HintsOption = Annotated[
    int, typer.Option("--hints", count=True, help="One more hint a failed check; repeat for more.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def register(app: typer.Typer) -> None:
    """Add the commands to an app."""
    app.command("check")(check_command)
    app.command("grade")(grade_command)
    app.command("watch")(watch_command)


def check_command(
    submission: SubmissionArgument,
    assignment: AssignmentOption = "mnist_8k",
    hints: HintsOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Run the fast checks of an assignment: no training, no data."""
    from eva.cli_common import friendly_errors

    with friendly_errors():
        from eva.grading.grade import check

        _load_rubric(assignment)
        report = check(submission, assignment, hints=hints)
        if as_json:
            sys.stdout.write(json.dumps(report.to_json(), indent=1) + "\n")
        else:
            _print(report)
    raise typer.Exit(report.exit_code)


def grade_command(
    submissions: Annotated[
        list[str], typer.Argument(help="Files, folders with submission.py, or module names.")
    ],
    assignment: AssignmentOption = "mnist_8k",
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", help="Folder that holds MNIST/raw (or set EVA_DATA)."),
    ] = None,
    data: Annotated[
        str, typer.Option("--data", help="mnist; auto trains on mnist-mini where MNIST is not.")
    ] = "mnist",
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")] = "auto",
    folder: Annotated[
        Path | None,
        typer.Option("--out", help="Copy record and pictures there.", show_default=False),
    ] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Train again, even if nothing changed.")
    ] = False,
    hints: HintsOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Run all checks: train each submission once on full MNIST, and print its score."""
    from eva.cli_common import err, friendly_errors, out

    reports = []
    with friendly_errors():
        from eva.grading.grade import Grading, require_submission

        console = err if as_json else out
        rubric = _load_rubric(assignment)
        for submission in submissions:
            require_submission(submission)
        for submission in submissions:
            grading = Grading(
                submission,
                rubric,
                data=data,
                data_dir=data_dir,
                device=device,
                cache=not no_cache,
                out=folder,
                show=lambda line: console.print(line, markup=False, highlight=False),
            )
            try:
                reports.append(grading.report(hints=hints))
            except KeyboardInterrupt:
                err.print("\nInterrupted; the same command goes on after the last whole epoch.")
                raise typer.Exit(INTERRUPTED) from None
            if not as_json:
                _print(reports[-1])
        if as_json:
            sys.stdout.write(json.dumps([report.to_json() for report in reports], indent=1) + "\n")
        elif len(reports) > 1:
            _print_totals(reports)
    codes = {report.exit_code for report in reports}
    raise typer.Exit(1 if 1 in codes else max(codes))


def watch_command(
    submission: SubmissionArgument,
    assignment: AssignmentOption = "mnist_8k",
    hints: HintsOption = 0,
) -> None:
    """Run the fast checks at every save, until Ctrl-C."""
    from eva.cli_common import err, friendly_errors, out

    with friendly_errors():
        from eva.grading.report import Report
        from eva.grading.watch import watch

        _load_rubric(assignment)

        def show(result: Report | EvaError) -> None:
            out.clear()
            if isinstance(result, Report):
                _print(result)
            else:
                err.print(f"{type(result).__name__}: {result}", markup=False, highlight=False)
            out.print("\nWatching; Ctrl-C ends it.", style="dim")

        try:
            watch(submission, assignment, show=show, hints=hints)
        except KeyboardInterrupt:
            out.print()


def _load_rubric(name: str) -> Assignment:
    """An assignment that trains a network; any other name is wrong usage."""
    from eva.errors import GradingError
    from eva.grading.rubric import load_assignment

    try:
        rubric = load_assignment(name)
        rubric.network_limits()
    except GradingError as error:
        raise typer.BadParameter(str(error), param_hint="--assignment") from error
    return rubric


def _print(report: Report) -> None:
    from eva.cli_common import out

    out.print(report, soft_wrap=True, highlight=False)


def _print_totals(reports: Sequence[Report]) -> None:
    from eva.cli_common import out

    out.print()
    for report in reports:
        total = f"{report.points}/{report.assignment.points}"
        out.print(f"{total:>6}  {report.submission}", markup=False, highlight=False)
