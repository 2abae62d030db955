"""The rubric of receptive_field: your arithmetic against eva.rf, which measures the network itself.

Nothing is trained, so all of it takes a second or two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from torch import nn

from eva.errors import SubmissionError
from eva.grading.checks.verdict import Status, Verdict
from eva.grading.graph.student_trace import student_trace
from eva.rf import receptive_field
from eva.submission import import_target

Conclude = Callable[[Verdict], None]
NAMES = ("after_layer", "field_of", "layers_to_see", "PREDICTIONS")
IMAGE = 64  # pixels; wide enough that no field is cut short
NETWORKS: dict[str, Callable[[], nn.Module]] = import_target(
    Path(__file__).parent / "networks.py"
).NETWORKS


class Layer(NamedTuple):
    """The same four numbers as in the submission."""

    kernel: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1


CHAINS = (
    [Layer(3)],
    [Layer(5, padding=2)],
    [Layer(3, stride=2)],
    [Layer(2, stride=2), Layer(3)],
    [Layer(3, stride=2, padding=1), Layer(3, stride=2, padding=1), Layer(3)],
    [Layer(3, dilation=2), Layer(3, padding=3, dilation=3)],
    [Layer(7, stride=3, padding=2), Layer(1), Layer(3, stride=2, dilation=2), Layer(2)],
)


class Wrong(Exception):
    """The student's answer is not right, or there is none."""


@pytest.fixture
def grade(sheet: Any, conclude: Conclude) -> Callable[[str, Callable[[Any], str]], None]:
    """Run one check on the submission's module; the check returns a message or raises Wrong."""

    def grade(check: str, look: Callable[[Any], str]) -> None:
        status, trace, details = Status.PASSED, None, {}
        title = sheet.assignment.checks[check].title
        try:
            message = look(import_target(sheet.submission))
        except Wrong as error:
            status, message = Status.FAILED, str(error)
        except SubmissionError as error:
            if check != "imports":
                status, message, details = Status.SKIPPED, error.problem, {"note": "needs 1"}
            else:
                status, message = Status.FAILED, error.problem
                trace = student_trace(error.__cause__) if error.__cause__ else None
        except NotImplementedError:
            status, message = Status.FAILED, "not written yet."
        except Exception as error:
            status, message = Status.FAILED, f"your code raised {type(error).__name__}: {error}"
            trace = student_trace(error)
        message = f"{title}: {message}"
        conclude(Verdict(check=check, status=status, message=message, details=details, trace=trace))

    return grade


def test_imports_and_has_all_functions(grade: Any) -> None:
    """The names that the other checks need are there."""

    def look(module: Any) -> str:
        missing = [name for name in NAMES if not hasattr(module, name)]
        if missing:
            raise Wrong(f"your file has no {' and no '.join(missing)}.")
        return "all names are there."

    grade("imports", look)


def test_after_layer(grade: Any) -> None:
    """Size, jump and field after each layer of several networks."""

    def look(module: Any) -> str:
        after_layer = taken(module, "after_layer")
        for chain in CHAINS:
            before = (IMAGE, 1, 1)
            for count, layer in enumerate(chain, start=1):
                after = measured(chain[:count])
                answer = after_layer(*before, layer)
                call = "after_layer(size={}, jump={}, field={}, {})".format(*before, layer)
                compare(call, answer, after)
                before = after
        return f"right for {sum(map(len, CHAINS))} layers."

    grade("after_layer", look)


def test_field_of(grade: Any) -> None:
    """The field after all layers of several networks."""

    def look(module: Any) -> str:
        field_of = taken(module, "field_of")
        if field_of([]) != 1:
            raise Wrong("with no layer at all, a unit is a pixel and sees itself: 1.")
        for chain in CHAINS:
            _, _, field = measured(chain)
            compare_one(f"field_of({chain})", field_of(list(chain)), field)
        return f"right for {len(CHAINS)} networks."

    grade("field_of", look)


def test_layers_to_see(grade: Any) -> None:
    """As few 3x3 layers as see the whole image, and no fewer."""

    def look(module: Any) -> str:
        layers_to_see = taken(module, "layers_to_see")
        for size in (1, 2, 3, 4, 7, 28):
            answer = layers_to_see(size)
            call = f"layers_to_see({size}) gives {answer!r}"
            if type(answer) is not int or not 0 <= answer < IMAGE:
                raise Wrong(f"{call}, not a whole number of layers.")
            if field_of_3x3(answer) < size:
                raise Wrong(f"{call}, and with so many a unit sees {field_of_3x3(answer)} pixels.")
            if answer and field_of_3x3(answer - 1) >= size:
                raise Wrong(f"{call}, but one layer less is enough.")
        return "right for images of 1 to 28 pixels."

    grade("layers_to_see", look)


@pytest.mark.parametrize("name", NETWORKS)
def test_prediction(name: str, grade: Any) -> None:
    """What a unit of the last layer sees, predicted without running the network."""

    def look(module: Any) -> str:
        predictions = taken(module, "PREDICTIONS")
        if not isinstance(predictions, dict):
            raise Wrong(f"PREDICTIONS is a {type(predictions).__name__}, not a dict.")
        answer = predictions.get(name)
        if answer is None:
            raise Wrong("not predicted yet.")
        field = receptive_field(NETWORKS[name](), (1, IMAGE, IMAGE)).size[0]
        compare_one("your prediction", answer, field, gives="is")
        return f"{field} pixels."

    grade(name, look)


def taken(module: Any, name: str) -> Any:
    """A name of the submission."""
    if not hasattr(module, name):
        raise Wrong(f"your file has no {name}.")
    return getattr(module, name)


def measured(chain: Sequence[Layer]) -> tuple[int, int, int]:
    """Size, jump and field of a network of these layers, as eva.rf finds them."""
    convolutions = [
        nn.Conv2d(1, 1, layer.kernel, layer.stride, layer.padding, layer.dilation)
        for layer in chain
    ]
    found = receptive_field(nn.Sequential(*convolutions), (1, IMAGE, IMAGE))
    jump = found.jump[0]
    assert jump is not None and jump.denominator == 1, "convolutions move evenly"
    return found.output_shape[-1], int(jump), found.size[0]


def field_of_3x3(count: int) -> int:
    """Field of so many 3x3 convolutions that keep the size of the map."""
    return measured([Layer(3, padding=1)] * count)[2]


def compare(call: str, answer: Any, truth: tuple[int, int, int]) -> None:
    """Say which of the three numbers is wrong, and in which direction."""
    if not isinstance(answer, tuple) or len(answer) != 3:
        raise Wrong(f"{call}\ngives {answer!r}, not three numbers (size, jump, field).")
    for what, given, right in zip(("size", "jump", "field"), answer, truth, strict=True):
        if given != right:
            raise Wrong(f"{call}\ngives {answer}: {direction(f'its {what}', given, right)}")


def compare_one(call: str, answer: Any, truth: int, gives: str = "gives") -> None:
    """Say in which direction a number is wrong."""
    if answer != truth:
        raise Wrong(f"{call} {gives} {answer!r}: {direction('that', answer, truth)}")


def direction(what: str, given: Any, truth: int) -> str:
    """Too small, too large, or no number; the right answer stays with us."""
    if not isinstance(given, int | float):
        return f"{what} is not a number."
    return f"{what} is too {'small' if given < truth else 'large'}."
