"""Submissions: a file or module with ``build_model() -> nn.Module`` and ``RECIPE: Recipe``."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from eva.errors import SubmissionError
from eva.recipe import Recipe
from eva.seeds import seeded

EXAMPLE = "A submission has `def build_model(): return nn.Sequential(...)` and `RECIPE = Recipe()`."


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A loaded submission; nothing was built yet.

    Attributes:
        name: Dotted module name, or the file's path as it was given.
        module: The imported module.
        recipe: Its ``RECIPE``.
    """

    name: str
    module: ModuleType
    recipe: Recipe

    @property
    def slug(self) -> str:
        """Short name for folders and plots: "exp5" for eva.experiments.exp5."""
        path = Path(self.name)
        if path.suffix != ".py":
            return self.name.rpartition(".")[2]
        return path.parent.name or path.stem if path.stem == "submission" else path.stem

    def build(self, seed: int = 0) -> nn.Module:
        """Call ``build_model()`` with PyTorch's generators seeded, so that weights repeat.

        Raises:
            SubmissionError: It is missing, needs arguments, raises, or returns no module.
        """
        return build_model(self.module, self.name, seed)


def build_model(module: ModuleType, name: str, seed: int = 0) -> nn.Module:
    """Call a submission's ``build_model()`` with PyTorch's generators seeded.

    Raises:
        SubmissionError: It is missing, needs arguments, raises, or returns no module.
    """
    builder = getattr(module, "build_model", None)
    if not callable(builder):
        raise SubmissionError(f"{name} has no function build_model.", EXAMPLE)
    with seeded(torch.device("cpu"), seed):
        try:
            model = builder()
        except (Exception, SystemExit) as error:
            raise SubmissionError(
                f"{name}: build_model() raised {type(error).__name__}: {error}",
                _frames(error, module),
            ) from error
    return _require_module(model, f"{name}: build_model()")


def find_recipe(module: ModuleType, name: str) -> Recipe:
    """Return the ``RECIPE`` of a submission.

    Raises:
        SubmissionError: It is missing or no Recipe.
    """
    recipe = getattr(module, "RECIPE", None)
    if not isinstance(recipe, Recipe):
        found = "none" if recipe is None else f"a {type(recipe).__name__}"
        raise SubmissionError(f"{name} needs a RECIPE of type eva.Recipe, found {found}.", EXAMPLE)
    return recipe


def load_submission(target: str | Path) -> Submission:
    """Import a submission from a path ending in .py, a folder with submission.py, or a module.

    Raises:
        SubmissionError: It can't be found or imported, or its RECIPE is missing or no Recipe.
    """
    module = import_target(target)
    return Submission(name=str(target), module=module, recipe=find_recipe(module, str(target)))


def load_model(target: str) -> nn.Module:
    """Find a model: ``file.py:Name``, ``package.module:Name``, or a submission.

    ``Name`` is a Module class or factory that needs no arguments, or an instance.

    Raises:
        SubmissionError: There is no such thing, or it gives no module.
    """
    place, colon, name = target.rpartition(":")
    if not colon or not name.isidentifier():
        place, name = target, "build_model"
    module = import_target(place)
    if not hasattr(module, name):
        hint = EXAMPLE if name == "build_model" else None
        raise SubmissionError(f"{place} has no {name}.", hint or f"Write {place}:NAME.")
    found: Any = getattr(module, name)
    if not isinstance(found, nn.Module):
        try:
            found = found()
        except Exception as error:
            raise SubmissionError(
                f"{place}: {name}() raised {type(error).__name__}: {error}", _frames(error, module)
            ) from error
    return _require_module(found, f"{place}: {name}")


def import_target(target: str | Path) -> ModuleType:
    """Import a file, a folder's submission.py, or a dotted module name.

    Raises:
        SubmissionError: Nothing is there, or importing it raised.
    """
    path = find_file(target)
    try:
        return importlib.import_module(str(target)) if path is None else _import_file(path)
    except ModuleNotFoundError as error:
        if path is None and error.name and str(target).startswith(error.name):
            raise _no_module(target) from error
        raise _import_error(target, path or Path(target), error) from error
    except (Exception, SystemExit) as error:
        raise _import_error(target, path or Path(target), error) from error


def find_file(target: str | Path) -> Path | None:
    """The file of a submission: itself, or a folder's submission.py; None for a dotted name.

    Raises:
        SubmissionError: There is no such file; the message says what was looked for.
    """
    path = Path(target)
    if path.is_dir():
        path = path / "submission.py"
        if not path.is_file():
            raise SubmissionError(
                f"the folder {target} holds no submission.py.", "Name the file itself."
            )
    elif path.suffix != ".py" and len(path.parts) == 1:
        return None
    if not path.is_file():
        raise SubmissionError(f"there is no file {target}.", f"You are in {Path.cwd()}.")
    return path


def require_submission(target: str | Path) -> None:
    """Refuse a path or module that is not there, before anything is run.

    Raises:
        SubmissionError: The message says what was looked for.
    """
    if find_file(target) is None and not _module_exists(str(target)):
        raise _no_module(target)


def _module_exists(name: str) -> bool:
    """Whether a dotted name can be imported; a package of it that raises counts as there."""
    try:
        return importlib.util.find_spec(name) is not None
    except (ModuleNotFoundError, ValueError):
        return False
    except Exception:
        return True


def _no_module(target: str | Path) -> SubmissionError:
    return SubmissionError(
        f"there is no module {target}.", "Give a path that ends in .py, or a dotted name."
    )


def _import_file(path: Path) -> ModuleType:
    """Import a file afresh under a name of its own, so that two submissions never mix."""
    digest = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    name = f"_eva_submission_{digest}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickling look the module up
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _import_error(target: str | Path, path: Path, error: BaseException) -> SubmissionError:
    lines = [
        f'File "{frame.filename}", line {frame.lineno}: {frame.line}'
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).resolve() == path.resolve()
    ]
    if isinstance(error, SyntaxError) and error.text:
        lines = [f'File "{error.filename}", line {error.lineno}: {error.text.strip()}']
    return SubmissionError(
        f"importing {target} raised {type(error).__name__}: {error}", "\n  ".join(lines) or None
    )


def _frames(error: BaseException, module: ModuleType) -> str | None:
    """Lines of a traceback that lie in the submission's own file."""
    lines = [
        f'File "{frame.filename}", line {frame.lineno}: {frame.line}'
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == module.__file__
    ]
    return "\n  ".join(lines) or None


def _require_module(value: object, source: str) -> nn.Module:
    if isinstance(value, nn.Module):
        return value
    found = f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
    raise SubmissionError(
        f"{source} gives {found}, not an nn.Module.",
        "Return an instance: `return Net()`." if isinstance(value, type) else EXAMPLE,
    )
