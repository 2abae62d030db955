"""Rubrics: what an assignment asks, what each check is worth, and which questions help.

The one source is ``assignments/NAME`` of the repository; the wheel carries this folder as
``eva/assignments``, so an installed eva finds it too.
"""

from __future__ import annotations

import difflib
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from eva.errors import GradingError
from eva.grading.checks.check import known_checks
from eva.grading.checks.verdict import Limits
from eva.json_types import FrozenModel

DEFAULT_ASSIGNMENT = "mnist_8k"
_SHIPPED = Path(__file__).parents[2] / "assignments"
_CHECKOUT = Path(__file__).parents[3] / "assignments"

Words = Annotated[str, Field(min_length=1)]


class CheckSpec(FrozenModel, strict=True):
    """One line of a rubric.

    Attributes:
        title: What is asked, in at most 36 characters, so that a table fits 80 columns.
        points: What it is worth.
        hidden: Students learn how an official grading of it ended only when grades are published.
        hints: Questions that lead on, from the widest to the narrowest; none gives the answer.
    """

    title: Annotated[str, Field(min_length=1, max_length=36)]
    points: Annotated[int, Field(ge=0)]
    hidden: bool = False
    hints: Annotated[tuple[Words, ...], Field(min_length=1, strict=False)]


class NetworkLimits(FrozenModel, strict=True):
    """What a trained network must keep to.

    Attributes:
        parameters: Fewer than each of these, one for each check.
        epochs: The most that a recipe may ask for.
        accuracy: On the test images, in percent.
        last_epochs: How many epochs at the end must each reach it.
    """

    parameters: Annotated[
        tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]], Field(strict=False)
    ]
    epochs: Annotated[int, Field(ge=1)]
    accuracy: Annotated[float, Field(gt=0, le=100)]
    last_epochs: Annotated[int, Field(ge=1)]

    def for_checks(self) -> Limits:
        """The part that the fast checks look at."""
        return Limits(parameters=self.parameters, epochs=self.epochs)


class LatePolicy(FrozenModel, strict=True):
    """What lateness costs in an official grading.

    Attributes:
        due: For everybody whom the roster gives no date of their own; without a zone it is UTC.
        grace_minutes: So much later is not late.
        percent_per_day: Of all points, for each day that has begun.
        maximum_days: Later than this earns nothing.
    """

    due: datetime | None = None
    grace_minutes: Annotated[float, Field(ge=0)] = 0
    percent_per_day: Annotated[float, Field(ge=0, le=100)] = 10
    maximum_days: Annotated[int, Field(ge=0)] = 7


class Assignment(FrozenModel, strict=True):
    """An assignment as its file says.

    Attributes:
        name: Of its folder.
        title: For people.
        checks: In the order of the table, by id.
        limits: Of a network that is trained; None where nothing is.
        late: What lateness costs; None where it costs nothing.
    """

    name: Words
    title: Words
    checks: Annotated[dict[str, CheckSpec], Field(min_length=1)]
    limits: NetworkLimits | None = None
    late: LatePolicy | None = None

    @property
    def points(self) -> int:
        """What all checks are worth together."""
        return sum(check.points for check in self.checks.values())

    def network_limits(self) -> NetworkLimits:
        """Limits of an assignment that :func:`eva.grade` can grade.

        Raises:
            GradingError: It is about something else than a network, or checks are missing.
        """
        if self.limits is None:
            raise GradingError(
                f"the assignment {self.name} trains no network, so there is nothing to grade here.",
                f"Run `pytest assignments/{self.name}`.",
            )
        known = tuple(known_checks())
        if tuple(self.checks) != known:
            raise GradingError(
                f"the assignment {self.name} must list the checks {', '.join(known)} in this "
                f"order; it lists {', '.join(self.checks)}."
            )
        return self.limits


def load_assignment(name: str | Path) -> Assignment:
    """Read an assignment by its name, or from a folder or file that holds its rubric.

    Args:
        name: Such as "mnist_8k"; or the path of a folder with assignment.toml, or of such a file.

    Raises:
        GradingError: There is no such assignment, or a key is missing, unknown or ill-typed.
    """
    path = assignment_file(name)
    try:
        value = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise GradingError(
            f"{path} can't be read: {error.strerror}.", f"Known: {', '.join(_folders())}."
        ) from error
    except ValueError as error:
        raise GradingError(f"{path} is not TOML: {error}.") from error
    try:
        return Assignment.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "top level"
        raise GradingError(
            f"{path}: {key}: {first['msg']}.", "assignments/README.md describes the file."
        ) from error


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
