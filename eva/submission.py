"""Submissions: a file, notebook or module with ``build_model()`` and ``RECIPE``.

Two objects are a submission too; :func:`module_of` makes a module of them.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from eva.builder import (
    EXAMPLE,
    build_network,
    hint_of,
    in_their_words,
    kind_of,
    name_of,
    require_module,
)
from eva.errors import SubmissionError
from eva.notebook import ENDING, Notebook, read_notebook
from eva.recipe import Recipe
from eva.student_package import import_file, notebook_of

ENTRIES = ("submission.py", "submission.ipynb")  # of a folder; the first that is there
ENDINGS = (".py", ENDING)
_LISTED = 5  # files of a folder that an error names


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
        if ".." in path.parts or path.is_dir():  # such as ".", which has no name of its own
            path = path.resolve()
        if path.is_dir():
            return path.name or "submission"
        if path.suffix.lower() not in ENDINGS:
            return self.name.rpartition(".")[2] if len(path.parts) == 1 else path.name
        return path.parent.name or path.stem if path.stem == "submission" else path.stem

    def build(self, seed: int = 0) -> nn.Module:
        """Call ``build_model()`` with PyTorch's generators seeded, so that weights repeat.

        Raises:
            SubmissionError: It is missing, needs arguments, raises, or returns no module.
        """
        return build_model(self.module, self.name, seed)


Loadable = str | Path | ModuleType | Submission
Objects = Loadable | Callable[[], nn.Module]  # where a recipe comes beside it


def build_model(module: ModuleType, name: str, seed: int = 0) -> nn.Module:
    """Call a submission's ``build_model()`` with PyTorch's generators seeded.

    Raises:
        SubmissionError: It is missing, needs arguments, raises, or returns no module.
    """
    builder = getattr(module, "build_model", None)
    if builder is None or not (callable(builder) or isinstance(builder, nn.Module)):
        hint = _unmarked(module, "build_model") or _meant_builder(module)
        raise SubmissionError(f"{name} has no function build_model.", hint or EXAMPLE)
    try:
        return build_network(builder, f"{name}: build_model()", seed)
    except SubmissionError as error:
        raise _with_hint(error, module) from error.__cause__


def find_recipe(module: ModuleType, name: str) -> Recipe:
    """Return the ``RECIPE`` of a submission.

    Raises:
        SubmissionError: It is missing or no Recipe.
    """
    recipe = getattr(module, "RECIPE", None)
    if not isinstance(recipe, Recipe):
        found = "none" if recipe is None else _a(recipe)
        hint = _unmarked(module, "RECIPE") if recipe is None else None
        hint = hint or _meant_recipe(module, recipe)
        raise SubmissionError(
            f"{name} needs a RECIPE of type eva.Recipe, found {found}.", hint or EXAMPLE
        )
    return recipe


def module_of(build_model: object, recipe: object) -> ModuleType:
    """Make a submission of two objects, such as those of a notebook's cells.

    Raises:
        SubmissionError: They are not what builds a network, and its recipe.
    """
    if isinstance(build_model, Recipe) and not isinstance(recipe, Recipe):
        raise SubmissionError("the recipe came first.", "Write (build_model, RECIPE).")
    name = name_of(build_model)
    if isinstance(build_model, nn.Module) or not callable(build_model):
        build_network(build_model, "build_model")  # which says why not
    if not isinstance(recipe, Recipe):
        found = "none" if recipe is None else _a(recipe)
        raise SubmissionError(
            f"{name} needs a recipe of type eva.Recipe beside it, found {found}.",
            "Write (build_model, RECIPE), with RECIPE = eva.Recipe(epochs=15).",
        )
    module = ModuleType(name.removesuffix("()"))
    vars(module).update(build_model=build_model, RECIPE=recipe)
    return module


def load_submission(target: Loadable) -> Submission:
    """Import a submission: a .py file, a notebook, a folder with submission.py, or a module.

    Args:
        target: A path, a dotted name, or what was imported already.

    Raises:
        SubmissionError: It can't be found or imported, or its RECIPE is missing or no Recipe.
    """
    module = import_target(target)
    name = target_name(target)
    return Submission(name=name, module=module, recipe=find_recipe(module, name))


def target_name(target: Loadable) -> str:
    """What a submission is called: as it was given, or as its module is."""
    if isinstance(target, Submission):
        return target.name
    return target.__name__ if isinstance(target, ModuleType) else str(target)


def load_model(target: str) -> nn.Module:
    """Find a model: ``file.py:Name``, ``package.module:Name``, or a submission.

    The file may be a notebook; then its marked cells count. ``Name`` is a Module class or factory
    that needs no arguments, or an instance.

    Raises:
        SubmissionError: There is no such thing, or it gives no module.
    """
    place, colon, name = target.rpartition(":")
    if not colon or not name.isidentifier():
        place, name = target, "build_model"
    module = import_target(place)
    if not hasattr(module, name):
        hint = _meant_builder(module) or EXAMPLE if name == "build_model" else None
        hint = _unmarked(module, name) or hint or f"Write {place}:NAME."
        raise SubmissionError(f"{place} has no {name}.", hint)
    found: Any = getattr(module, name)
    if not isinstance(found, nn.Module):
        try:
            found = found()
        except Exception as error:
            raised = SubmissionError(
                f"{place}: {name}() raised {type(error).__name__}: {in_their_words(str(error))}",
                hint_of(error),
            )
            raised.__cause__ = error
            raise _with_hint(raised, module) from error
    return require_module(found, f"{place}: {name}")


def import_target(target: Loadable) -> ModuleType:
    """Import a file, a notebook, a folder's submission.py, or a dotted name.

    What was imported already is not imported again.

    Raises:
        SubmissionError: Nothing is there, or importing it raised.
    """
    if isinstance(target, Submission):
        return target.module
    if isinstance(target, ModuleType):
        return target
    path = find_file(target)
    try:
        return importlib.import_module(str(target)) if path is None else import_file(path)
    except SubmissionError:  # a notebook that is none, or has no marked cell
        raise
    except ModuleNotFoundError as error:
        if path is None and error.name and str(target).startswith(error.name):
            raise _no_module(target) from None
        raise _import_error(target, path, error) from error
    except (Exception, SystemExit) as error:
        raise _import_error(target, path, error) from error


def find_file(target: str | Path) -> Path | None:
    """The file of a submission: itself, or that of a folder; None for a dotted name.

    Raises:
        SubmissionError: There is no such file; the message says what was looked for.
    """
    if not isinstance(target, str | Path):
        raise SubmissionError(
            f"a submission is a path or a dotted name, got {kind_of(target)}.",
            "eva.check and eva.grade take objects too: eva.check(build_model, RECIPE).",
        )
    path = Path(target)
    if path.is_dir():
        found = [path / name for name in ENTRIES if (path / name).is_file()]
        if not found:
            others = [name for name in _names_in(path) if name.lower().endswith(ENDINGS)]
            holds = f" It holds {', '.join(others[:_LISTED])}." if others else ""
            raise SubmissionError(
                f"the folder {target} holds no {' or '.join(ENTRIES)}.",
                f"Name the file itself.{holds}",
            )
        path = found[0]
    elif path.suffix.lower() not in ENDINGS:
        if path.is_file():
            raise SubmissionError(
                f"the file {target} ends in neither {' nor '.join(ENDINGS)}.", "Rename it."
            )
        if len(path.parts) == 1:
            return None
    if not path.is_file():
        raise SubmissionError(
            f"there is no file {target}.", f"{_near(path)}You are in {Path.cwd()}."
        )
    return path


def _near(path: Path) -> str:
    """A question whether a name beside a path was meant; empty where none is like it."""
    names = [name for name in _names_in(path.parent) if not (path.parent / name).is_dir()]
    close = difflib.get_close_matches(path.name, names, n=1, cutoff=0.75)
    return f"Did you mean {path.with_name(close[0])}? " if close else ""


def _names_in(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except OSError:
        return []


def require_submission(target: Loadable) -> None:
    """Refuse a path or module that is not there, before anything is run.

    Raises:
        SubmissionError: The message says what was looked for.
    """
    if isinstance(target, ModuleType | Submission):
        return
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
    hint = "Give a path that ends in .py or .ipynb, or a dotted name."
    return SubmissionError(f"there is no module {target}.", f"{_near(Path(target))}{hint}")


def missing_name(error: BaseException | None, module: ModuleType | Notebook) -> str:
    """Which cell of a notebook to mark, where an error is of a name that its marked cells lack."""
    notebook = module if isinstance(module, Notebook) else notebook_of(module)
    if notebook is None or not isinstance(error, NameError) or not error.name:
        return ""
    hint = notebook.hint(error.name)
    return f" {hint}" if hint else ""


def _import_error(target: str | Path, path: Path | None, error: BaseException) -> SubmissionError:
    lines = hint_of(error)
    if isinstance(error, SyntaxError) and error.text:
        lines = f'File "{error.filename}", line {error.lineno}: {error.text.strip()}'
    problem = f"importing {target} raised {type(error).__name__}: {in_their_words(str(error))}"
    if path is not None and path.suffix.lower() == ENDING and isinstance(error, NameError):
        problem += f".{missing_name(error, read_notebook(path))}"
    return SubmissionError(problem, lines)


def _with_hint(error: SubmissionError, module: ModuleType) -> SubmissionError:
    """The same error, and which cell to mark where a name is missing."""
    hint = missing_name(error.__cause__, module)
    return SubmissionError(f"{error.problem}.{hint}", error.hint) if hint else error


def _a(value: object) -> str:
    kind = kind_of(value)
    return kind if isinstance(value, type) else f"a {kind}"


def _meant_builder(module: ModuleType) -> str | None:
    """What to write where a file lacks build_model, by what it has."""
    own = {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    }
    functions = [name for name, value in own.items() if not isinstance(value, type)]
    close = [name for name in functions if name.lower().replace("_", "") == "buildmodel"]
    close = close or difflib.get_close_matches("build_model", functions, n=1, cutoff=0.7)
    if close:
        return f"It has {close[0]}: call it build_model."
    networks = [name for name, value in own.items() if isinstance(value, type)]
    networks = [name for name in networks if issubclass(own[name], nn.Module)]
    if networks:
        return f"It has the class {networks[-1]}: add `def build_model(): return {networks[-1]}()`."
    return None


def _meant_recipe(module: ModuleType, found: object) -> str | None:
    """What to write where a file lacks RECIPE, or where it is something else."""
    if isinstance(found, tuple) and len(found) == 1 and isinstance(found[0], Recipe):
        return "Leave out the comma behind it: with it, RECIPE is a tuple."
    if found is not None:
        return "Write RECIPE = Recipe(epochs=15)."
    others = [name for name, value in vars(module).items() if isinstance(value, Recipe)]
    return f"It has {others[0]}: call it RECIPE." if others else None


def _unmarked(module: ModuleType, name: str) -> str | None:
    """Which cell of a notebook to mark, for one of the two names of a submission."""
    notebook = notebook_of(module)
    return None if notebook is None else notebook.hint(name)
