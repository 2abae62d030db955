"""``eva class``, ``eva grade --official`` and ``eva export``: a class from the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eva.cli.options import (
    INTERRUPTED,
    AssignmentOption,
    DataDirOption,
    DeviceOption,
    err,
    friendly_errors,
    out,
)

if TYPE_CHECKING:
    from eva.grading.checks.rubric import Assignment
    from eva.grading.cohort.cohort import Cohort, Progress, Shard
    from eva.grading.cohort.gradebook import Gradebook
    from eva.grading.reports import Target

JOURNAL = Path("eva-grading.jsonl")
PANEL = "Official grading of a class"

OfficialOption = Annotated[
    bool,
    typer.Option(
        "--official", help="Untrusted code: sandbox and secret seeds.", rich_help_panel=PANEL
    ),
]
SeedsOption = Annotated[
    int, typer.Option("--seeds", min=1, help="Trainings of each network.", rich_help_panel=PANEL)
]
JobsOption = Annotated[
    int, typer.Option("--jobs", min=1, help="Processes at once.", rich_help_panel=PANEL)
]
SecretOption = Annotated[
    Path | None,
    typer.Option(
        "--secret-file",
        help="At least 16 bytes; seeds come from it, and it marks the journal. Keep it.",
        rich_help_panel=PANEL,
    ),
]
JournalOption = Annotated[
    Path, typer.Option("--journal", help="Every result is kept there.", rich_help_panel=PANEL)
]
ShardOption = Annotated[
    str | None,
    typer.Option("--shard", help="Such as 2/8: the second of eight parts.", rich_help_panel=PANEL),
]
MergeOption = Annotated[
    bool,
    typer.Option("--merge", help="The paths are journals of all shards.", rich_help_panel=PANEL),
]
EngineOption = Annotated[str, typer.Option("--engine", help="local or ray.", rich_help_panel=PANEL)]
AddressOption = Annotated[
    str | None,
    typer.Option("--address", help="Where the Ray cluster is, or auto.", rich_help_panel=PANEL),
]
GpusOption = Annotated[
    float,
    typer.Option(
        "--gpus", min=0, help="Share of a GPU that a training takes on Ray.", rich_help_panel=PANEL
    ),
]
TierOption = Annotated[
    str | None,
    typer.Option(
        "--allow-tier",
        help="C: where there is no sandbox, resource limits will do.",
        rich_help_panel=PANEL,
    ),
]
ReportOption = Annotated[
    list[str] | None,
    typer.Option(
        "--report",
        metavar="FORMAT=FILE",
        help="json, csv, html, junit, summary, canvas, moodle, brightspace; with a file a student: "
        "feedback, gradescope, classroom, check50. Repeat for more.",
    ),
]


@dataclass(frozen=True, kw_only=True)
class _Official:
    """The options of an official grading, as they were typed."""

    paths: Sequence[str]
    seeds: int
    jobs: int
    secret_file: Path | None
    journal: Path
    shard: str | None
    engine: str
    address: str | None
    gpus: float
    allow_tier: str | None
    data_dir: Path | None
    device: str
    attempt: str = "last"
    columns: Sequence[str] = ()
    known: Sequence[Path] = ()
    anonymous: bool = False
    dry: bool = False


def load_rubric(name: str) -> Assignment:
    """An assignment about a network; any other name is wrong usage."""
    from eva.errors import GradingError
    from eva.grading.checks.rubric import load_assignment

    try:
        rubric = load_assignment(name)
        rubric.asked()
    except GradingError as error:
        raise typer.BadParameter(str(error), param_hint="--assignment") from error
    return rubric


def targets_of(reports: Sequence[str] | None) -> list[Target]:
    """Read ``--report``; a wrong one is wrong usage."""
    from eva.errors import GradingError
    from eva.grading.reports import parse_target

    try:
        return [parse_target(text) for text in reports or ()]
    except GradingError as error:
        raise typer.BadParameter(str(error), param_hint="--report") from error


def write_reports(gradebook: Gradebook, targets: Sequence[Target]) -> None:
    """Write all reports and say where they are."""
    from eva.grading.reports import write_report
    from eva.grading.reports.escape import plain

    for target in targets:
        files = write_report(gradebook, target)
        place = files[0] if len(files) == 1 else f"{target.path} ({len(files)} files)"
        err.print(f"{target.format}: {plain(str(place))}", markup=False, highlight=False)


def _grade_officially(options: _Official, assignment: Assignment, reports: list[Target]) -> int:
    """Grade a class, print its table, write its reports; return the exit code."""
    from eva.grading.cohort.cohort import require_finished
    from eva.grading.cohort.official import grade_class
    from eva.grading.cohort.staging import Attempt
    from eva.grading.cohort.terms import Terms
    from eva.jobs import EngineName

    if options.engine not in list(EngineName):
        raise typer.BadParameter(f"known: {', '.join(EngineName)}", param_hint="--engine")
    if options.allow_tier not in (None, "C"):
        raise typer.BadParameter("only C has to be allowed", param_hint="--allow-tier")
    if options.attempt not in list(Attempt):
        raise typer.BadParameter(f"known: {', '.join(Attempt)}", param_hint="--attempt")
    if options.dry and reports:
        raise typer.BadParameter(
            "a dry run gives no grades to report", param_hint="--dry-run with --report"
        )
    shard, columns = _shard(options.shard), _columns(options.columns)
    terms = Terms(
        assignment=assignment,
        secret=_secret(options.secret_file),
        seeds=options.seeds,
        allow_tier_c=options.allow_tier == "C",
        data_dir=None if options.data_dir is None else str(options.data_dir),
        device=options.device,
    )
    try:
        gradebook, cohort = grade_class(
            options.paths,
            terms,
            journal=options.journal,
            engine=EngineName(options.engine),
            jobs=options.jobs,
            address=options.address,
            gpus=options.gpus,
            shard=shard,
            attempt=Attempt(options.attempt),
            columns=columns,
            known=options.known,
            dry=options.dry,
            show=_show,
        )
    except KeyboardInterrupt:
        err.print(f"\nInterrupted; {options.journal} has all results: the same command goes on.")
        raise typer.Exit(INTERRUPTED) from None
    _finish(gradebook, reports, terms.secret if options.anonymous else None)
    require_finished(cohort)
    if options.dry:
        out.print(_what_is_left(cohort, options.journal), highlight=False, soft_wrap=True)
        return 0
    if shard is not None and gradebook.exit_code == 3:
        return 0  # the other shards do the rest
    return gradebook.exit_code


def _what_is_left(cohort: Cohort, journal: Path) -> str:
    """The last words of a dry run."""
    from eva.grading.cohort.cohort import seconds_in_words
    from eva.record import counted

    kept = f"Nothing was trained. {journal} keeps the checks; without --dry-run it goes on there."
    if not cohort.trainings:
        return f"{kept} There is nothing to train."
    trainings = counted(cohort.trainings, "training")
    if cohort.seconds is None:
        return f"{kept} At least {trainings} will follow."
    long = seconds_in_words(cohort.seconds)
    return (
        f"{kept} At least {trainings} will follow, and take about {long}, by a few batches of each "
        "network; networks near the line are trained with more seeds."
    )


def _merge(
    journals: Sequence[str],
    secret_file: Path | None,
    assignment: Assignment,
    reports: list[Target],
    known: Sequence[Path] = (),
    anonymous: bool = False,
) -> int:
    """Put the journals of shards together; return the exit code."""
    from eva.grading.cohort.official import merge_journals

    paths = [Path(path) for path in journals]
    secret = _secret(secret_file)
    gradebook = merge_journals(paths, assignment, secret, known)
    _finish(gradebook, reports, secret if anonymous else None)
    return gradebook.exit_code


def _finish(gradebook: Gradebook, reports: list[Target], hide: bytes | None = None) -> None:
    """Print the table and write the reports; with a secret, pages that are shown name nobody."""
    from eva.grading.reports.anonymous import anonymous
    from eva.grading.reports.terminal import summary_table

    out.print(summary_table(gradebook))
    shown = gradebook if hide is None else anonymous(gradebook, hide)
    for target in reports:
        write_reports(shown if target.format in ("html", "summary") else gradebook, [target])


def _columns(given: Sequence[str]) -> dict[str, str]:
    """Our names of a roster's columns, by ``--column id=NAME``."""
    from eva.grading.cohort.roster import COLUMNS

    found: dict[str, str] = {}
    for text in given:
        ours, equals, theirs = text.partition("=")
        if ours not in COLUMNS or not equals or not theirs:
            raise typer.BadParameter(
                f"such as id=Matrikelnummer; ours are {', '.join(COLUMNS)}", param_hint="--column"
            )
        found[ours] = theirs
    return found


def _shard(text: str | None) -> Shard | None:
    from eva.errors import GradingError
    from eva.grading.cohort.cohort import Shard

    try:
        return None if text is None else Shard.parse(text)
    except GradingError as error:
        raise typer.BadParameter(str(error), param_hint="--shard") from error


def _secret(path: Path | None) -> bytes:
    if path is None:
        raise typer.BadParameter(
            "an official grading needs one, to draw seeds from and to mark its journal: "
            "`openssl rand -hex 32 > secret.txt`",
            param_hint="--secret-file",
        )
    try:
        return path.read_bytes().strip()
    except OSError as error:
        raise typer.BadParameter(
            f"{path} can't be read: {error.strerror}", param_hint="--secret-file"
        ) from error


def _show(progress: Progress) -> None:
    """A line for each piece of news, with the time that is left."""
    from eva.grading.cohort.cohort import seconds_in_words
    from eva.grading.reports.escape import plain

    if progress.news:
        left = "" if progress.eta is None else f", {seconds_in_words(progress.eta)} left"
        err.print(
            f"[{progress.looked_at}/{progress.files} checked, "
            f"{progress.trained}/{progress.trainings} trained{left}] {plain(progress.news)}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


def gradescope_command(
    folder: Annotated[Path, typer.Argument(help="Made anew; zip its content and upload that.")],
    assignment: AssignmentOption = "mnist_8k",
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Trainings of each network.")] = 3,
    package: Annotated[
        str | None,
        typer.Option("--package", help="What pip installs; default: this version of eva."),
    ] = None,
    allow_tier: Annotated[
        str | None, typer.Option("--allow-tier", help="C: resource limits will do.")
    ] = None,
) -> None:
    """Write an autograder folder for Gradescope, with a secret of its own."""
    with friendly_errors():
        from eva.grading.cohort.gradescope_export import export_gradescope

        if allow_tier not in (None, "C"):
            raise typer.BadParameter("only C has to be allowed", param_hint="--allow-tier")
        for file in export_gradescope(
            folder, assignment, seeds=seeds, package=package, allow_tier_c=allow_tier == "C"
        ):
            out.print(str(file), markup=False, highlight=False, soft_wrap=True)


class_app = typer.Typer(
    help="Grade a class officially: untrusted code, in a sandbox, with secret seeds.",
    no_args_is_help=True,
)
KnownOption = Annotated[
    list[Path] | None,
    typer.Option("--known", help="A journal of another year; its copies are flagged. Repeat."),
]
AnonymousOption = Annotated[
    bool, typer.Option("--anonymous", help="Reports html and summary have pseudonyms.")
]


@class_app.command("grade")
def class_grade_command(
    paths: Annotated[
        list[str],
        typer.Argument(help="What was handed in, as it was downloaded, and a roster (.csv)."),
    ],
    secret_file: SecretOption = None,
    assignment: AssignmentOption = "mnist_8k",
    report: ReportOption = None,
    anonymous: AnonymousOption = False,
    attempt: Annotated[
        str, typer.Option("--attempt", help="Of several of one student: last or best.")
    ] = "last",
    column: Annotated[
        list[str] | None,
        typer.Option("--column", help="A column of the roster, such as id=Matrikelnummer. Repeat."),
    ] = None,
    known: KnownOption = None,
    seeds: SeedsOption = 3,
    jobs: JobsOption = 1,
    journal: JournalOption = JOURNAL,
    data_dir: DataDirOption = None,
    device: DeviceOption = "auto",
    shard: ShardOption = None,
    engine: EngineOption = "local",
    address: AddressOption = None,
    gpus: GpusOption = 0.0,
    allow_tier: TierOption = None,
    dry: Annotated[
        bool,
        typer.Option("--dry-run", help="Check all, train nothing, and say how long it will take."),
    ] = False,
) -> None:
    """Grade a class, or go on with it: the same command continues after an interruption."""
    with friendly_errors():
        options = _Official(
            paths=paths,
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
            attempt=attempt,
            columns=column or (),
            known=known or (),
            anonymous=anonymous,
            dry=dry,
        )
        rubric, targets = load_rubric(assignment), targets_of(report)
        raise typer.Exit(_grade_officially(options, rubric, targets))


@class_app.command("merge")
def class_merge_command(
    journals: Annotated[list[str], typer.Argument(help="Of all shards.")],
    secret_file: SecretOption = None,
    assignment: AssignmentOption = "mnist_8k",
    report: ReportOption = None,
    anonymous: AnonymousOption = False,
    known: KnownOption = None,
) -> None:
    """Make the gradebook from journals alone: of several shards, or by other points."""
    with friendly_errors():
        rubric, targets = load_rubric(assignment), targets_of(report)
        raise typer.Exit(_merge(journals, secret_file, rubric, targets, known or (), anonymous))


@class_app.command("show")
def class_show_command(
    student: Annotated[str, typer.Argument(help="The id.")],
    secret_file: SecretOption = None,
    assignment: AssignmentOption = "mnist_8k",
    journal: JournalOption = JOURNAL,
) -> None:
    """Print one student's row: checks, seeds, and what to look at."""
    with friendly_errors():
        from eva.grading.cohort.official import merge_journals
        from eva.grading.reports.escape import lines, plain

        book = merge_journals([journal], load_rubric(assignment), _secret(secret_file))
        mine = [grade for grade in book.grades if grade.student == student]
        if not mine:
            known = ", ".join(plain(grade.student) for grade in book.grades[:20])
            raise typer.BadParameter(f"not in {journal}; there are {known}", param_hint="STUDENT")
        for grade in mine:
            said = [
                lines(str(grade.report)),
                f"outcome: {grade.outcome.value} {plain(grade.reason)}",
            ]
            for one in grade.trained:
                each = ", ".join(f"{value:.2f}" for value in one.accuracies)
                said.append(f"seed {one.index + 1}: {each} %")
            said += [f"look at: {plain(flag)}" for flag in grade.flags]
            said.append(
                f"score: {grade.score:g} of {book.assignment.points:g}, {plain(grade.source)}"
            )
            out.print("\n".join(said), markup=False, highlight=False, soft_wrap=True)
