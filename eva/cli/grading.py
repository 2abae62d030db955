"""Commands that grade a submission: ``eva check``, ``eva grade`` and ``eva watch``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eva.cli.cohort import (
    JOURNAL,
    AddressOption,
    EngineOption,
    GpusOption,
    JobsOption,
    JournalOption,
    MergeOption,
    OfficialOption,
    ReportOption,
    SecretOption,
    SeedsOption,
    ShardOption,
    TierOption,
    class_grade_command,
    class_merge_command,
    load_rubric,
    targets_of,
    write_reports,
)
from eva.cli.options import (
    INTERRUPTED,
    DataDirOption,
    DeviceOption,
    HintsOption,
    JsonOption,
    OwnAssignmentOption,
    SubmissionArgument,
    err,
    friendly_errors,
    out,
)

if TYPE_CHECKING:
    from eva.errors import EvaError
    from eva.grading.checks.report import Report


def check_command(
    submission: SubmissionArgument,
    assignment: OwnAssignmentOption = None,
    hints: HintsOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Run the fast checks of an assignment: no training, no data."""
    with friendly_errors():
        from eva.grading.practice.grade import check

        assignment = assignment or _own_assignment([submission])
        load_rubric(assignment)
        report = check(submission, assignment, hints=hints)
        if as_json:
            sys.stdout.write(json.dumps(report.to_json(), indent=1) + "\n")
        else:
            _print(report)
    raise typer.Exit(report.exit_code)


def grade_command(
    submissions: Annotated[
        list[str],
        typer.Argument(
            help="Files, notebooks, folders with one, or module names; with --official also "
            "folders and archives of submissions, and a roster (.csv)."
        ),
    ],
    assignment: OwnAssignmentOption = None,
    data_dir: DataDirOption = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            help="auto trains on mnist-mini where MNIST is not.",
            show_default="the assignment's",
        ),
    ] = None,
    device: DeviceOption = "auto",
    folder: Annotated[
        Path | None,
        typer.Option("--out", help="Copy record and pictures there.", show_default=False),
    ] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Train again, even if nothing changed.")
    ] = False,
    hints: HintsOption = 0,
    as_json: JsonOption = False,
    report: ReportOption = None,
    official: OfficialOption = False,
    seeds: SeedsOption = 3,
    jobs: JobsOption = 1,
    secret_file: SecretOption = None,
    journal: JournalOption = JOURNAL,
    shard: ShardOption = None,
    merge_: MergeOption = False,
    engine: EngineOption = "local",
    address: AddressOption = None,
    gpus: GpusOption = 0.0,
    allow_tier: TierOption = None,
) -> None:
    """Run all checks: train each submission once on full MNIST, and print its score.

    With --official a whole class of untrusted code is graded, with secret seeds, into a gradebook.
    """
    reports = []
    with friendly_errors():
        untrusted = official or merge_
        assignment = assignment or _own_assignment([] if untrusted else submissions)
        if merge_:
            return class_merge_command(submissions, secret_file, assignment, report)
        if official:
            return class_grade_command(
                submissions,
                assignment=assignment,
                report=report,
                seeds=seeds,
                jobs=jobs,
                secret_file=secret_file,
                journal=journal,
                shard=shard,
                engine=engine,
                address=address,
                gpus=gpus,
                allow_tier=allow_tier,
                data_dir=data_dir,
                device=device,
            )
        rubric, targets = load_rubric(assignment), targets_of(report)
        if secret_file or shard or address or allow_tier or engine != "local":
            raise typer.BadParameter(
                "these options are of an official grading", param_hint="without --official"
            )
        from eva.grading.practice.grade import Grading
        from eva.submission import require_submission

        console = err if as_json else out
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
        if targets:
            from eva.grading.reports.practice import practice_gradebook

            write_reports(practice_gradebook(reports), targets)
    codes = {report.exit_code for report in reports}
    raise typer.Exit(1 if 1 in codes else max(codes))


def watch_command(
    submission: SubmissionArgument,
    assignment: OwnAssignmentOption = None,
    hints: HintsOption = 0,
) -> None:
    """Run the fast checks at every save, until Ctrl-C."""
    with friendly_errors():
        from eva.grading.checks.report import Report
        from eva.grading.practice.watch import watch

        assignment = assignment or _own_assignment([submission])
        load_rubric(assignment)

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


def _own_assignment(submissions: Sequence[str]) -> str:
    """The assignment of the folders that the submissions are in; the default without one."""
    from eva.grading.checks.rubric import DEFAULT_ASSIGNMENT, assignment_of

    found = sorted({assignment_of(submission) for submission in submissions})
    if len(found) > 1:
        raise typer.BadParameter(
            f"these submissions are of different assignments: {', '.join(found)}. Name one.",
            param_hint="--assignment",
        )
    return found[0] if found else DEFAULT_ASSIGNMENT


def _print(report: Report) -> None:
    out.print(report, soft_wrap=True, highlight=False)


def _print_totals(reports: Sequence[Report]) -> None:
    out.print()
    for report in reports:
        total = f"{report.points:g}/{report.assignment.points:g}"
        out.print(f"{total:>6}  {report.submission}", markup=False, highlight=False)
