"""Rubrics: what an assignment asks, what each check is worth, and which questions help.

The one source is ``assignments/NAME`` of the repository; the wheel carries this folder as
``eva/assignments``, so an installed eva finds it too.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, ValidationError

from eva.data import PUBLISHED, DataName, Images, images_of
from eva.errors import GradingError
from eva.grading.checks.check import Asked, Check, known_kinds, own_kinds
from eva.json_types import FrozenModel

DEFAULT_ASSIGNMENT = "mnist_8k"
_SHIPPED = Path(__file__).parents[2] / "assignments"
_CHECKOUT = Path(__file__).parents[3] / "assignments"

Words = Annotated[str, Field(min_length=1)]


Points = int | float
"""Whole or not; whole ones stay whole, so that ten points are shown as 10."""


def _whole(value: float) -> Points:
    return int(value) if value.is_integer() else value


class CheckSpec(FrozenModel, strict=True, extra="allow"):
    """One line of a rubric; what is no key of it is a number of its kind.

    Attributes:
        kind: Of the check; None where the assignment's own tests give the verdict.
        title: What is asked, in at most 36 characters, so that a table fits 80 columns.
        points: What it is worth; fractions too.
        hidden: Students learn how an official grading of it ended only when grades are published.
        hints: Questions that lead on, from the widest to the narrowest; none gives the answer.
        needs: Ids of checks above that must not have failed; by default those of its kind.
    """

    kind: Words | None = None
    title: Annotated[str, Field(min_length=1, max_length=36)]
    points: Annotated[float, Field(ge=0, allow_inf_nan=False), AfterValidator(_whole)]
    hidden: bool = False
    hints: Annotated[tuple[Words, ...], Field(strict=False)] = ()
    needs: Annotated[tuple[Words, ...], Field(strict=False)] | None = None

    @property
    def numbers(self) -> dict[str, Any]:
        """What its kind is given."""
        return dict(self.model_extra or {})


class LatePolicy(FrozenModel, strict=True):
    """What lateness costs in an official grading.

    Attributes:
        due: For everybody whom the roster gives no date of their own; a date without a time is the
            end of that day in the assignment's time zone.
        grace_minutes: So much later is not late.
        percent_per_day: Of all points, for each day that has begun.
        maximum_days: Later than this earns nothing.
    """

    due: datetime | date | None = None
    grace_minutes: Annotated[float, Field(ge=0)] = 0
    percent_per_day: Annotated[float, Field(ge=0, le=100)] = 10
    maximum_days: Annotated[int, Field(ge=0)] = 7


class CodeLimits(FrozenModel, strict=True):
    """What a submission may use in an official grading, while it is imported, built and exported.

    Attributes:
        seconds: Of the clock, and of the processor.
        memory_mb: MiB of memory, beyond what PyTorch takes.
        disk_mb: MiB that it may write, in a folder that is gone afterwards.
        source_mb: MiB of all its files together.
        source_files: How many.
    """

    seconds: Annotated[float, Field(ge=1, le=3600)] = 60
    memory_mb: Annotated[int, Field(ge=512, le=65_536)] = 4096
    disk_mb: Annotated[int, Field(ge=1, le=4096)] = 64
    source_mb: Annotated[float, Field(gt=0, le=4)] = 4
    source_files: Annotated[int, Field(ge=1, le=200)] = 200


def _known_data(name: str) -> str:
    if name not in PUBLISHED:
        raise ValueError(f"no such data set{_meant(name, PUBLISHED, always=True)}")
    return name


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("no such time zone; known are names such as Europe/Berlin") from None
    return name


class Assignment(FrozenModel, strict=True):
    """An assignment as its file says.

    Attributes:
        name: Of its folder.
        title: For people.
        order: Its place among the assignments of a folder; those of one place by name.
        checks: In the order of the table, by id.
        late: What lateness costs; None where it costs nothing.
        data: Name of the data set that networks are trained on and tested with.
        limits: Of students' code, in an official grading.
        timezone: Of dates that name none, such as "Europe/Berlin".
        own_checks: Text of the ``checks.py`` beside the file; no key of the file.
    """

    name: Words
    title: Words
    order: int = 0
    checks: Annotated[dict[str, CheckSpec], Field(min_length=1)]
    late: LatePolicy | None = None
    data: Annotated[str, AfterValidator(_known_data)] = DataName.MNIST.value
    limits: CodeLimits = CodeLimits()
    timezone: Annotated[str, AfterValidator(_known_zone)] = "UTC"
    own_checks: str = ""

    @property
    def points(self) -> Points:
        """What all checks are worth together."""
        return sum_points(check.points for check in self.checks.values())

    @property
    def images(self) -> Images:
        """Size, classes and number of the images that networks are trained on."""
        return images_of(self.data)

    @property
    def zone(self) -> ZoneInfo:
        """Of dates that name none."""
        return ZoneInfo(self.timezone)

    @property
    def trains(self) -> bool:
        """Whether it is about a network, so that eva gives the verdicts."""
        return any(check.kind for check in self.checks.values())

    def asked(self, *, trains: bool | None = None) -> dict[str, Asked]:
        """The checks of a network by id, in order.

        Args:
            trains: Those that need a training, or those that do not; both by default, and then
                those of training are last.

        Raises:
            GradingError: It is about something else than a network.
        """
        if not self.trains:
            raise GradingError(
                f"the assignment {self.name} trains no network, so there is nothing to grade here.",
                f"Run `pytest assignments/{self.name}`.",
            )
        own = own_kinds(self.own_checks)
        kinds = known_kinds() | own
        found: dict[str, Asked] = {}
        for name, spec in self.checks.items():
            check = kinds[spec.kind or ""]
            needs = spec.needs
            if needs is None:
                needs = tuple(id_ for id_, one in found.items() if one.check.kind in check.needs)
            found[name] = Asked(
                id=name,
                title=spec.title,
                check=check,
                needs=needs,
                numbers=vars(check.numbers.model_validate(spec.numbers)),
                foreign=check.kind in own,
            )
        ordered = sorted(found.items(), key=lambda item: item[1].check.trains)
        return {name: one for name, one in ordered if trains in (None, one.check.trains)}

    @property
    def decisive(self) -> Asked | None:
        """The last check that compares a number of a training; tables and curves show it."""
        found = [one for one in self.asked(trains=True).values() if one.check.value is not None]
        return found[-1] if found else None

    @property
    def checks_digest(self) -> str:
        """SHA-256 of all that decides a verdict without training, and of nothing else.

        Titles, points, hints and the late policy are not in it, nor what is asked of a training.
        """
        asked = self.asked(trains=False).values()
        value = [[a.id, a.check.kind, list(a.needs), self.checks[a.id].numbers] for a in asked]
        foreign = self.own_checks if any(one.foreign for one in asked) else ""
        told: list[Any] = [value, foreign]
        if self.data != DataName.MNIST or self.limits != CodeLimits():  # else as it ever was
            told += [self.data, self.limits.model_dump()]
        text = json.dumps(told, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def digest(self) -> str:
        """SHA-256 of the whole rubric."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


def sum_points(points: Iterable[Points]) -> Points:
    """A sum that is whole where all are whole, and else without the dust of binary fractions."""
    values = list(points)
    if all(isinstance(value, int) for value in values):
        return sum(values)
    total = round(math.fsum(values), 4)
    return int(total) if total.is_integer() else total


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What is wrong with a file of an assignment.

    Attributes:
        key: Such as "checks.recipe.epochs"; "top level" where it is no key.
        said: What is wrong with it.
    """

    key: str
    said: str

    def __str__(self) -> str:
        return f"{self.key}: {self.said}"


def load_assignment(name: str | Path) -> Assignment:
    """Read an assignment by its name, or from a folder or file that holds its rubric.

    Args:
        name: Such as "mnist_8k"; or the path of a folder with assignment.toml, or of such a file.

    Raises:
        GradingError: There is no such assignment, or a key is missing, unknown or ill-typed.
    """
    path = assignment_file(name)
    found = _read(path)
    if isinstance(found, Assignment):
        return found
    more = f" ({len(found) - 1} more: `eva check-assignment`)" if len(found) > 1 else ""
    raise GradingError(
        f"{path}: {found[0].key}: {found[0].said}.{more}",
        "docs/guides/assignments.md describes the file.",
    )


def problems_of(name: str | Path) -> list[Problem]:
    """All that is wrong with the file of an assignment, by key; errors as :func:`load_assignment`.

    Raises:
        GradingError: There is no such file, or it is no TOML.
    """
    found = _read(assignment_file(name))
    return [] if isinstance(found, Assignment) else found


def _read(path: Path) -> Assignment | list[Problem]:
    try:
        value = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise GradingError(
            f"{path} can't be read: {error.strerror}.", f"Known: {', '.join(_folders())}."
        ) from error
    except ValueError as error:
        raise GradingError(f"{path} is not TOML: {error}.") from error
    own = path.parent / "checks.py"
    problems: list[Problem] = []
    if "own_checks" in value:
        problems.append(Problem(key="own_checks", said="no such key; write checks.py beside it"))
    problems += _with_kinds(value)
    kinds = known_kinds()
    if own.is_file():
        try:
            value["own_checks"] = own.read_text(encoding="utf-8")
            kinds = kinds | own_kinds(value["own_checks"])
        except (OSError, UnicodeDecodeError, GradingError) as error:
            problems.append(Problem(key="checks.py", said=str(error).rstrip(".")))
    try:
        assignment = Assignment.model_validate(value)
    except ValidationError as error:
        return [*problems, *map(_problem, error.errors())]
    problems += _unfit(assignment, kinds)
    return problems or assignment


_OLD_LIMITS = ("parameters", "epochs", "accuracy", "last_epochs")
_OLD_KINDS = ("imports", "shapes", "under_10k", "under_8k", "pooling", "recipe", "reaches", "holds")


def _with_kinds(value: dict[str, Any]) -> list[Problem]:
    """Give the checks of a file of the older form, whose limits stand apart, kinds and numbers."""
    limits = value.get("limits")
    if not isinstance(limits, dict) or not limits.keys() & {*_OLD_LIMITS}:
        return []
    checks = value.get("checks")
    missing = [name for name in _OLD_LIMITS if name not in limits]
    if missing:
        return [Problem(key=f"limits.{missing[0]}", said="Field required")]
    sizes = limits["parameters"]
    if not isinstance(sizes, list) or len(sizes) != 2:
        return [Problem(key="limits.parameters", said=f"two numbers are needed, came {sizes!r}")]
    if not isinstance(checks, dict) or tuple(checks) != _OLD_KINDS:
        came = ", ".join(checks) if isinstance(checks, dict) else "nothing"
        return [
            Problem(
                key="checks",
                said=f"with [limits] of a network they must be {', '.join(_OLD_KINDS)} in this "
                f"order; it lists {came}; or give each a kind and its numbers, without [limits]",
            )
        ]
    numbers: dict[str, dict[str, Any]] = {
        "under_10k": {"kind": "parameters", "below": sizes[0]},
        "under_8k": {"kind": "parameters", "below": sizes[1]},
        "recipe": {"epochs": limits["epochs"]},
        "reaches": {"accuracy": limits["accuracy"]},
        "holds": {"accuracy": limits["accuracy"], "last_epochs": limits["last_epochs"]},
    }
    for name, spec in checks.items():
        if isinstance(spec, dict):
            checks[name] = {"kind": name} | numbers.get(name, {}) | spec
    rest = {key: number for key, number in limits.items() if key not in _OLD_LIMITS}
    value["limits"] = rest
    if not rest:
        del value["limits"]
    return []


def _unfit(assignment: Assignment, kinds: dict[str, Check]) -> list[Problem]:
    """What the kinds say about their numbers, and needs that are not met."""
    problems: list[Problem] = []
    if not assignment.trains:
        for name, spec in assignment.checks.items():
            for key in spec.numbers:
                said = f"no such key{_meant(key, CheckSpec.model_fields)}"
                problems.append(Problem(key=f"checks.{name}.{key}", said=said))
        return problems
    above: list[str] = []
    for name, spec in assignment.checks.items():
        place = f"checks.{name}"
        if spec.kind is None or spec.kind not in kinds:
            said = "Field required" if spec.kind is None else f"there is no kind {spec.kind!r}"
            said += _meant(spec.kind or name, kinds, always=True)
            problems.append(Problem(key=f"{place}.kind", said=said))
        else:
            try:
                kinds[spec.kind].numbers.model_validate(spec.numbers)
            except ValidationError as error:
                fields = kinds[spec.kind].numbers.model_fields
                problems += [_problem(one, place, (*fields, *CheckSpec.model_fields))
                             for one in error.errors()]  # fmt: skip
        for need in spec.needs or ():
            if need not in above:
                said = f"no check above is called {need!r}{_meant(need, above)}"
                problems.append(Problem(key=f"{place}.needs", said=said))
        above.append(name)
    by_kind = [spec.kind for spec in assignment.checks.values()]
    if "imports" not in by_kind:
        problems.append(Problem(key="checks", said='one check must have kind = "imports"'))
    return problems


def _problem(error: Any, place: str = "", known: Sequence[str] = ()) -> Problem:
    """One of pydantic's, in our words where theirs are hard to read."""
    key = ".".join([*filter(None, [place]), *map(str, error["loc"])]) or "top level"
    said = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        said = f"no such key{_meant(str(error['loc'][-1]), known or _keys(error['loc']))}"
    elif error["type"] != "missing" and isinstance(error.get("input"), int | float | str | list):
        said += f"; came {error['input']!r:.60}"
    return Problem(key=key, said=said)


def _keys(place: tuple[Any, ...]) -> Sequence[str]:
    """Known keys at a place of the file."""
    models: dict[Any, type[FrozenModel]] = {"late": LatePolicy, "limits": CodeLimits}
    if len(place) == 2 and place[0] in models:
        return tuple(models[place[0]].model_fields)
    return tuple(name for name in Assignment.model_fields if name != "own_checks")


def _meant(name: str, known: Iterable[str], *, always: bool = False) -> str:
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(names)}" if names and (always or len(names) < 20) else ""


def assignment_file(name: str | Path) -> Path:
    """Path of the file that :func:`load_assignment` reads for this name.

    Raises:
        GradingError: No assignment has this name.
    """
    path = Path(name)
    if path.suffix == ".toml":
        return path
    folder = path if len(path.parts) > 1 else _folders().get(str(name))
    if folder is None and (path / "assignment.toml").is_file():
        folder = path
    if folder is None:
        raise _unknown(str(name))
    return folder / "assignment.toml"


def assignment_names() -> list[str]:
    """Names of all assignments that this eva knows."""
    return list(_folders())


def assignment_of(submission: str | Path) -> str:
    """The assignment of the folder that a submission is in, as `eva new` wrote it.

    Returns:
        Its name where eva brings it, so that the copy's own limits do not count; the folder where
        the assignment is an instructor's; :data:`DEFAULT_ASSIGNMENT` where there is none.
    """
    path = Path(submission)
    folder = path if path.is_dir() else path.parent
    if path.suffix.lower() not in (".py", ".ipynb") and not path.is_dir():
        return DEFAULT_ASSIGNMENT
    try:
        value = tomllib.loads((folder / "assignment.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return DEFAULT_ASSIGNMENT
    name = value.get("name")
    return name if name in _folders() else str(folder)


def assignments_folder() -> Path:
    """The folder of all assignments that come with eva, and of the ``conftest.py`` they share."""
    return _SHIPPED if _SHIPPED.is_dir() else _CHECKOUT


def _folders() -> dict[str, Path]:
    found = sorted(assignments_folder().glob("*/assignment.toml"))
    return {path.parent.name: path.parent for path in found}


def _unknown(name: str) -> GradingError:
    known = assignment_names()
    close = difflib.get_close_matches(name, known, n=1)
    meant = f" Did you mean {close[0]}?" if close else ""
    return GradingError(
        f"no assignment is called {name!r}.", f"Known: {', '.join(known) or 'none'}.{meant}"
    )
