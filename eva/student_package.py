"""A submission's file is imported with the helper files beside it, and with nothing left behind.

The file becomes a module of a package of its own, whose folder is the file's. An import in one of
its modules looks into that folder first; an import anywhere else never does. So a helper may be
called ``random.py`` or ``utils.py`` as another student's, and nobody else meets it.
"""

from __future__ import annotations

import builtins
import hashlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from eva.builder import PACKAGE
from eva.notebook import ENDING, Notebook, read_notebook

_INSTALLED = {"eva", "torch", "torchvision", "numpy"}  # which no file of a student stands in for


def import_file(path: Path) -> ModuleType:
    """Import a .py file or a notebook afresh, with its helpers.

    Raises:
        Exception: Whatever the file raises.
    """
    path = path.absolute()
    package = PACKAGE + hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    _forget(package)
    home = ModuleType(package)
    home.__path__ = [str(path.resolve().parent)]
    home.__package__ = package
    sys.modules[package] = home
    _IMPORTERS[package] = importer = _Importer(package, path.resolve().parent)
    name = f"{package}.{re.sub(r'[^0-9a-zA-Z_]', '_', path.stem)}"
    loader = _NotebookLoader if path.suffix.lower() == ENDING else _Loader
    spec = importlib.util.spec_from_file_location(name, path, loader=loader(name, str(path)))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickling look the module up
    try:
        with importer.apart():
            spec.loader.exec_module(module)
    except BaseException:
        _forget(package)
        raise
    return module


def notebook_of(module: ModuleType) -> Notebook | None:
    """The notebook that a module was imported from."""
    return getattr(module, "__notebook__", None)


class _Importer:
    """``__import__`` for the modules of one submission."""

    def __init__(self, package: str, folder: Path) -> None:
        self._package = package
        self._folder = folder
        self._paths: list[str] = []  # that the submission has added to sys.path
        self._modules: dict[str, ModuleType] = {}  # which were found there
        self._inside = False

    def __call__(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> ModuleType:
        """As :func:`builtins.__import__`, but the files beside the submission come first."""
        try:
            if level or not self._is_beside(name.partition(".")[0]):
                with self.apart():
                    return builtins.__import__(name, globals, locals, fromlist, level)
            full = f"{self._package}.{name}"
            if fromlist:
                return builtins.__import__(full, globals, locals, fromlist, 0)
            importlib.import_module(full)
            return sys.modules[f"{self._package}.{name.partition('.')[0]}"]
        except ModuleNotFoundError as error:
            if not (error.name or "").startswith(f"{self._package}."):
                raise
            missing = str(error.name).removeprefix(f"{self._package}.")
            message = f"No module named {missing!r} beside the submission"
            raise ModuleNotFoundError(message, name=missing) from None

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Keep to this submission what it adds to sys.path, and the modules that lie there."""
        if self._inside:
            yield
            return
        paths, known = list(sys.path), set(sys.modules)
        sys.path[:] = [*self._paths, *paths, str(self._folder)]
        sys.modules.update(self._modules)
        self._inside = True
        try:
            yield
        finally:
            self._inside = False
            self._paths = [p for p in sys.path if p not in paths and p != str(self._folder)]
            sys.path[:] = paths
            places = [*(Path(p).resolve() for p in self._paths if p), self._folder]
            for name in sys.modules.keys() - known:
                file = getattr(sys.modules[name], "__file__", None)
                if file is None or name.startswith(PACKAGE) or "site-packages" in file:
                    continue
                if any(Path(file).resolve().is_relative_to(place) for place in places):
                    self._modules[name] = sys.modules.pop(name)

    def _is_beside(self, name: str) -> bool:
        """Whether a file or folder of this name lies beside the submission."""
        if name in _INSTALLED or not name:
            return False
        folder = self._folder / name
        if folder.with_name(f"{name}.py").is_file() or (folder / "__init__.py").is_file():
            return True
        if not folder.is_dir() or not any(folder.glob("*.py")):
            return False
        return importlib.util.find_spec(name) is None  # a folder of data beside a package


_IMPORTERS: dict[str, _Importer] = {}


class _Loader(SourceFileLoader):
    """Runs a file of a submission with its own ``__import__``; leaves no ``__pycache__``."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)

    def exec_module(self, module: ModuleType) -> None:
        _own_imports(module)
        exec(self.get_code(module.__name__), module.__dict__)


class _NotebookLoader(SourceFileLoader):
    """Runs the marked cells of a notebook, one after another."""

    def exec_module(self, module: ModuleType) -> None:
        _own_imports(module)
        notebook = read_notebook(Path(self.path))
        module.__dict__["__notebook__"] = notebook
        for code in list(notebook.compile()):
            exec(code, module.__dict__)


class _Finder:
    """Finds the helpers of submissions, for :class:`_Loader` to run."""

    @staticmethod
    def find_spec(
        fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(PACKAGE) or path is None:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(fullname, spec.loader.path)
        return spec


def _own_imports(module: ModuleType) -> None:
    importer = _IMPORTERS[module.__name__.partition(".")[0]]
    own: dict[str, Any] = dict(vars(builtins))
    module.__dict__["__builtins__"] = own | {"__import__": importer}


def _forget(package: str) -> None:
    """Take an earlier import of the same file back."""
    for name in [n for n in sys.modules if n == package or n.startswith(f"{package}.")]:
        del sys.modules[name]
    _IMPORTERS.pop(package, None)


sys.meta_path.insert(0, _Finder)
