"""What an assignment's ``conftest.py`` adds to pytest: options, progress, short failures, a table.

The ``conftest.py`` of an assignment registers this module, once a session however many folders
there are. Where an assignment is about a network, each check of its ``assignment.toml`` is a test
by itself. Tests of a folder's own ask for a verdict by its id, through the fixture ``answer``, or
bring one, to the fixture ``conclude``.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from eva.errors import EvaError
from eva.grading.checks.advice import Advice
from eva.grading.checks.report import Report, ReportRow
from eva.grading.checks.rubric import Assignment, load_assignment
from eva.grading.checks.verdict import Status, Verdict
from eva.grading.practice.grade import Grading
from eva.submission import ENTRIES, require_submission


class CheckFailed(Exception):
    """A check said no; the text is all that the student needs."""


@dataclass
class Sheet:
    """One assignment in this session: what is graded, and the verdicts so far."""

    assignment: Assignment
    submission: str
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    grading: Grading | None = None
    elsewhere: dict[str, Any] = field(default_factory=dict)

    def report(self, hints: int) -> Report:
        """A check without a verdict was deselected, or the session ended before it."""
        if self.grading is not None:
            return self.grading.report_of(self.verdicts, hints=hints)
        told = self.elsewhere
        return Report.of(
            self.assignment,
            self.submission,
            self.verdicts,
            hints=hints,
            files=tuple(map(Path, told.get("files", ()))),
            outside=told.get("outside"),
            advice=tuple(Advice(**one) for one in told.get("advice", ())),
        )

    def to_json(self, hints: int) -> dict[str, Any]:
        """All of it that a report needs, for the process that prints one."""
        report = self.report(hints)
        return {
            "submission": self.submission,
            "verdicts": [verdict.to_json() for verdict in self.verdicts.values()],
            "files": [str(file) for file in report.files],
            "outside": report.outside,
            "advice": [advice.to_json() for advice in report.advice],
        }


SHEETS = pytest.StashKey[dict[Path, Sheet]]()


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Offer the course's own options, with the one that an installed eva offers earlier."""
    pluginmanager.import_plugin("eva.grading.practice.pytest_options")
    group = parser.getgroup("eva", "the course")
    group.addoption(
        "--hints",
        action="count",
        default=0,
        help="show the next hint of each failing check; twice: the one after it, too",
    )
    group.addoption("--no-cache", action="store_true", help="train again, even if nothing changed")
    group.addoption("--data-dir", help="folder that holds MNIST/raw (or set EVA_DATA)")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse what can't be graded before anything runs."""
    config.stash[SHEETS] = {}
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(FromWorkers(config))
    config.addinivalue_line("markers", "slow: trains on full MNIST (deselect with -m 'not slow')")
    if config.option.reportchars == "fE":  # pytest's default: a list that our table repeats
        config.option.reportchars = ""
    given = config.getoption("--submission")
    if len(given) > 1:
        raise pytest.UsageError(
            f"--submission takes one submission, got {len(given)}: {', '.join(given)}.\n"
            "  `eva grade` takes several."
        )
    for target in given:
        try:
            require_submission(target)
        except EvaError as error:
            raise pytest.UsageError(f"--submission: {error}") from error


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Each check of a rubric is a test, unless the folder brings tests of its own."""
    if file_path.name != "assignment.toml" or any(file_path.parent.glob("test_*.py")):
        return None
    return _Rubric.from_parent(parent, path=file_path)


class _Rubric(pytest.File):
    def collect(self) -> Iterator[pytest.Item]:
        try:
            asked = load_assignment(self.path.parent).asked()
        except EvaError as error:
            raise self.CollectError(f"{type(error).__name__}: {error}") from error
        for name, one in asked.items():
            item = _CheckItem.from_parent(self, name=name)
            if one.check.trains:
                item.add_marker(pytest.mark.slow)
            yield item


class _CheckItem(pytest.Item):
    def runtest(self) -> None:
        sheet = _sheet(self.config, self.path.parent)
        _conclude(sheet, _grading(sheet, self.config).verdict(self.name), self.config)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, self.name


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep one submission to one assignment, and assignments in their order."""
    ours = [item for item in items if (item.path.parent / "assignment.toml").is_file()]
    folders = sorted({item.path.parent for item in ours})
    if config.getoption("--submission") and len(folders) > 1:
        names = " and ".join(folder.name for folder in folders)
        raise pytest.UsageError(
            f"--submission is for one assignment; here are {names}.\n"
            f"  Name one: `pytest {_from_here(folders[0])} --submission ...`."
        )
    order = {folder: _order(folder) for folder in folders}
    others = [item for item in items if item not in set(ours)]
    items[:] = [*others, *sorted(ours, key=lambda item: order[item.path.parent])]
    for item in ours:  # warnings of a student's code, or of PyTorch's, decide nothing
        item.add_marker(pytest.mark.filterwarnings("ignore"))


@pytest.fixture
def sheet(request: pytest.FixtureRequest) -> Sheet:
    """The sheet of the assignment that the test belongs to."""
    return _sheet(request.config, request.path.parent)


@pytest.fixture
def conclude(sheet: Sheet, pytestconfig: pytest.Config) -> Callable[[Verdict], None]:
    """Enter a verdict in the sheet, and end the test as it says."""
    return lambda verdict: _conclude(sheet, verdict, pytestconfig)


@pytest.fixture
def answer(sheet: Sheet, pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Run a check of a network by its id; the last ones train it, in full view."""
    return lambda check: _conclude(
        sheet, _grading(sheet, pytestconfig).verdict(check), pytestconfig
    )


def _sheet(config: pytest.Config, folder: Path) -> Sheet:
    sheets = config.stash[SHEETS]
    if folder not in sheets:
        given = config.getoption("--submission")
        target = given[0] if given else _from_here(_entry(folder))
        sheets[folder] = Sheet(assignment=load_assignment(folder), submission=target)
    return sheets[folder]


def _grading(sheet: Sheet, config: pytest.Config) -> Grading:
    if sheet.grading is None:
        sheet.grading = Grading(
            sheet.submission,
            sheet.assignment,
            data_dir=config.getoption("--data-dir"),
            cache=not config.getoption("--no-cache"),
            show=lambda line: _write_line(config, line),
            training=lambda: _uncaptured(config),
        )
    return sheet.grading


def _conclude(sheet: Sheet, verdict: Verdict, config: pytest.Config) -> None:
    sheet.verdicts[verdict.check] = verdict
    row = ReportRow(spec=sheet.assignment.checks[verdict.check], verdict=verdict)
    if verdict.status is Status.FAILED:
        raise CheckFailed(row.explain(config.getoption("--hints")))
    if verdict.status is not Status.PASSED:
        pytest.skip(row.explain())


def _order(folder: Path) -> int:
    """Place of an assignment among its neighbors."""
    try:
        return load_assignment(folder).order
    except EvaError:  # said where it is collected
        return 0


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show a failed check as its message, without a traceback of ours."""
    report = yield
    if call.excinfo is not None:
        error = call.excinfo.value
        if isinstance(error, CheckFailed):
            report.longrepr = str(error)
            # What a student prints stays; PyTorch logs every step of an export.
            report.sections = [one for one in report.sections if one[0] != "Captured log call"]
        elif isinstance(error, EvaError):
            report.longrepr = f"{type(error).__name__}: {error}"
    if hasattr(item.config, "workerinput"):  # of pytest-xdist: the table is printed elsewhere
        sheet = item.config.stash[SHEETS].get(item.path.parent)
        if sheet is not None:
            told = {str(item.path.parent): sheet.to_json(item.config.getoption("--hints"))}
            report.eva_sheets = told  # type: ignore[attr-defined]
    return report


class FromWorkers:
    """Takes the verdicts that pytest-xdist's workers send along with their reports.

    Each worker has a part of the checks, so the sheets of all of them are put together.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._sheets = config.stash[SHEETS]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Enter what a worker knows by now; the order of the table is the rubric's."""
        for folder, told in getattr(report, "eva_sheets", {}).items():
            place = Path(folder)
            if place not in self._sheets:
                assignment = load_assignment(place)
                self._sheets[place] = Sheet(assignment=assignment, submission=told["submission"])
            sheet = self._sheets[place]
            for value in told["verdicts"]:
                sheet.verdicts[value["check"]] = Verdict.from_json(value)
            for key in ("files", "outside", "advice"):
                if told[key] or key not in sheet.elsewhere:
                    sheet.elsewhere[key] = told[key]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the score of each assignment."""
    for sheet in config.stash[SHEETS].values():
        report = sheet.report(config.getoption("--hints"))
        reviews = [row for row in report.rows if row.verdict.status is Status.NEEDS_REVIEW]
        terminalreporter.section(sheet.assignment.title)
        for row in reviews:  # failures are listed above, where pytest puts them
            terminalreporter.write_line(f"{row.explain()}\n")
        console = Console(color_system="standard" if terminalreporter.hasmarkup else None)
        with console.capture() as captured:
            console.print(report.table(), soft_wrap=True)
        terminalreporter.write(captured.get())


@contextmanager
def _uncaptured(config: pytest.Config) -> Iterator[None]:
    """Let progress bars through to the terminal, without `-s`; there may be none."""
    manager = config.pluginmanager.getplugin("capturemanager")
    if manager is None:
        yield
        return
    with manager.global_and_fixture_disabled():
        yield


def _write_line(config: pytest.Config, line: str) -> None:
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if reporter is None:  # in a worker of pytest-xdist
        return
    with _uncaptured(config):
        reporter.ensure_newline()
        reporter.write_line(line)


def _entry(folder: Path) -> Path:
    """The submission beside the tests; where there is none, the one that is missed."""
    places = [folder / name for name in ENTRIES]
    return next((path for path in places if path.is_file()), places[0])


def _from_here(path: Path) -> str:
    """A path as the student would type it."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
