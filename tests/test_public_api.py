"""The public surface is a decision: a change here is a change for every user.

``tests/golden/public_api.txt`` holds all of it: names, signatures, commands with their options, and
exit codes. `pytest tests/test_public_api.py --update-golden` writes it anew; read the diff.
"""

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import typer.main

import eva
from eva.cli import app
from eva.cli.options import FAILED, INTERRUPTED, OUTSIDE, USAGE, exit_code
from eva.errors import (
    DataError,
    DeviceError,
    EvaError,
    GradingError,
    JobError,
    RecipeError,
    RecordError,
    SubmissionError,
    TrainingError,
)

PUBLIC = [
    "Callback",
    "Dataset",
    "EvaError",
    "Recipe",
    "Run",
    "Submission",
    "Trainer",
    "__version__",
    "check",
    "grade",
    "load_data",
    "load_submission",
    "lr_find",
    "receptive_field",
    "study",
    "summary",
    "trace",
]


def test_public_names_are_these_and_exist() -> None:
    assert sorted(eva.__all__) == PUBLIC == dir(eva)
    for name in PUBLIC:
        assert getattr(eva, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'tran'"):
        eva.tran  # noqa: B018


def test_importing_eva_imports_no_torch() -> None:
    code = "import sys, eva; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _signature(value: Any) -> str:
    """Parameters with their plain defaults; annotations read otherwise in each Python."""
    shown: list[str] = []
    for one in inspect.signature(value).parameters.values():
        if one.kind is one.KEYWORD_ONLY and "*" not in shown:
            shown.append("*")
        plain = type(one.default) in (bool, int, float, str, type(None))
        default = "" if one.default is one.empty else f"={one.default!r}" if plain else "=..."
        shown.append(f"{one.name}{default}")
    return f"({', '.join(shown)})"


def _surface() -> Iterator[str]:
    yield "eva"
    for name in sorted(eva.__all__):
        value = getattr(eva, name)
        yield f"  {name}{_signature(value) if callable(value) else ''}"
    for found in pkgutil.walk_packages(eva.__path__, "eva."):
        if found.ispkg:
            names = getattr(importlib.import_module(found.name), "__all__", None)
            if names is not None:
                yield f"{found.name}\n  {' '.join(sorted(names))}"
    yield from _commands("eva", typer.main.get_command(app))


def _commands(name: str, command: Any) -> Iterator[str]:
    parameters = [
        param.name.upper() if param.param_type_name == "argument" else "/".join(param.opts)
        for param in command.params
        if param.name != "help"
    ]
    yield f"$ {name} {' '.join(parameters)}".rstrip()
    for word, more in sorted(getattr(command, "commands", {}).items()):
        yield from _commands(f"{name} {word}", more)


def test_the_whole_surface_is_what_was_decided(golden: Callable[[str, str], None]) -> None:
    golden("public_api.txt", "\n".join(_surface()) + "\n")


def test_what_a_package_offers_is_there_and_named_once() -> None:
    for found in pkgutil.walk_packages(eva.__path__, "eva."):
        if found.ispkg:
            module = importlib.import_module(found.name)
            names = getattr(module, "__all__", [])
            assert len(names) == len(set(names)), found.name
            for name in names:
                assert hasattr(module, name), (found.name, name)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (DataError, 3),
        (GradingError, 3),
        (JobError, 3),
        (TrainingError, 1),
        (SubmissionError, 2),
        (RecipeError, 2),
        (RecordError, 2),
        (DeviceError, 2),
        (EvaError, 2),
    ],
)
def test_exit_codes_say_whose_fault_it_is(kind: type[EvaError], code: int) -> None:
    class Special(kind):  # type: ignore[misc, valid-type]
        pass

    assert exit_code(kind("what")) == exit_code(Special("what")) == code


def test_exit_codes_are_these() -> None:
    assert (FAILED, USAGE, OUTSIDE, INTERRUPTED) == (1, 2, 3, 130)


def test_each_name_of_eva_has_a_type_for_checkers() -> None:
    """What `__getattr__` finds at run time is what the imports for type checkers name."""
    tree = ast.parse(inspect.getsource(eva))
    (block,) = (
        node
        for node in tree.body
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
    )
    named = set()
    for node in block.body:
        if isinstance(node, ast.ImportFrom):
            named |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign):
            named |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    assert set(eva.__all__) - {"__version__"} <= named
