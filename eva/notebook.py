"""Notebooks as submissions: the code cells that are marked are the file.

A cell is marked by a first line ``#| export``, as in nbdev, or by the tag ``submission``. All other
cells are left alone: what is tried out, plotted and installed there is no part of the submission.

References:
    nbformat: The notebook file format, versions 3 and 4, https://nbformat.readthedocs.io.
    nbdev: Directives, https://nbdev.fast.ai.
"""

from __future__ import annotations
import __future__

import ast
import json
import linecache
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from types import CodeType
from typing import Any

from eva.errors import SubmissionError

ENDING = ".ipynb"
TAG = "submission"
_MARK = re.compile(r"#\s*\|\s*export[si]?\b")
_COMMAND = re.compile(  # of IPython: magics, the shell, help; the last are those that need no %
    r"^\s*(%|!|\?|(pip3?|conda|apt(-get)?|ls|cd)\s)|=\s*[%!]\s*\w|^[\w.\s]+\?{1,2}\s*$"
)
_HOW = (
    "Write `#| export` as the first line of each cell that belongs to it: the imports, the "
    "network, build_model and RECIPE. Or give these cells the tag `submission`."
)
_AGAIN = "Save it in Jupyter, or download it from Colab or Kaggle again."
_FEATURES = {
    getattr(__future__, name).compiler_flag for name in __future__.all_feature_names
}  # that an import from __future__ in one cell turns on for those after it


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A code cell.

    Attributes:
        number: Its place in the notebook, counted from 1; cells of text count too.
        source: Its text.
        marked: Whether it belongs to the submission.
    """

    number: int
    source: str
    marked: bool


@dataclass(frozen=True, kw_only=True)
class Notebook:
    """The code cells of a notebook.

    Attributes:
        path: Where the file is.
        cells: In order.
    """

    path: str
    cells: tuple[Cell, ...]

    @property
    def name(self) -> str:
        """Name of the file, for errors."""
        return PurePath(self.path).name

    @property
    def marked(self) -> tuple[Cell, ...]:
        """The cells that are the submission."""
        return tuple(cell for cell in self.cells if cell.marked)

    def compile(self) -> Iterator[CodeType]:
        """Compile the marked cells, each under a file name of its own: "net.ipynb, cell 3".

        Raises:
            SubmissionError: No cell is marked, or one holds a command of IPython.
            SyntaxError: One is no Python.
        """
        if not self.marked:
            raise SubmissionError(
                f"{self.name} has no cell that is marked as the submission.", _HOW
            )
        flags = 0
        for cell in self.marked:
            filename = f"{self.path}, cell {cell.number}"
            text = cell.source if cell.source.endswith("\n") else f"{cell.source}\n"
            linecache.cache[filename] = len(text), None, text.splitlines(keepends=True), filename
            try:
                code = compile(text, filename, "exec", flags, dont_inherit=True)
            except SyntaxError as error:
                self._require_python(cell, error)
                raise
            flags |= sum(flag for flag in _FEATURES if code.co_flags & flag & ~flags)
            yield code

    def hint(self, name: str) -> str | None:
        """Which cell to mark for a name that the marked ones lack; None where no cell has it."""
        if name in ("display", "get_ipython"):
            return f"{name} is there in a notebook alone: call it in a cell that is not marked."
        places = [c.number for c in self.cells if not c.marked and name in _names(c.source)]
        if not places:
            return None
        return f"Cell {places[-1]} has {name} and is not marked: begin it with `#| export`."

    def to_bytes(self) -> bytes:
        """A notebook of the code alone, each cell in its old place: no text, no outputs."""
        last = max((cell.number for cell in self.cells), default=0)
        cells: list[dict[str, Any]] = [
            {"cell_type": "markdown", "metadata": {}, "source": ""} for _ in range(last)
        ]
        for cell in self.cells:
            cells[cell.number - 1] = {
                "cell_type": "code",
                "metadata": {"tags": [TAG] if cell.marked else []},
                "execution_count": None,
                "outputs": [],
                "source": cell.source,
            }
        value = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
        return json.dumps(value).encode()

    def _require_python(self, cell: Cell, error: SyntaxError) -> None:
        lines = cell.source.splitlines()
        for number in (1, error.lineno or 1):
            line = lines[number - 1] if number <= len(lines) else ""
            if _COMMAND.search(line) and (number == error.lineno or line.startswith("%%")):
                raise SubmissionError(
                    f"{self.name}, cell {cell.number}, line {number}: `{line.strip()}` is a "
                    "command of the notebook, not Python.",
                    "Move it to a cell that is not marked; only Python is handed in.",
                ) from None


def read_notebook(path: Path) -> Notebook:
    """Read the code cells of a notebook file.

    Raises:
        SubmissionError: It can't be read, is damaged or no notebook, or is not in Python.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SubmissionError(f"{path} can't be read: {error.strerror}.") from error
    return parse_notebook(content, str(path))


def parse_notebook(content: bytes, path: str) -> Notebook:
    """Read the code cells of a notebook; formats 3 and 4, whoever wrote it.

    Raises:
        SubmissionError: It is damaged or no notebook, or is not in Python.
    """
    name = PurePath(path).name
    if not content.strip():
        raise SubmissionError(f"{name} is empty.", _AGAIN)
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise SubmissionError(f"{name} is not a notebook: {_why(content, error)}", _AGAIN) from None
    try:
        cells = tuple(_cells(value))
    except (KeyError, TypeError, AttributeError, IndexError):
        raise SubmissionError(
            f"{name} is not a notebook: it is JSON, but holds no list of cells with a source.",
            _AGAIN,
        ) from None
    language = _language(value)
    if language and "python" not in language.lower():
        raise SubmissionError(f"{name} is a notebook in {language[:40]}, not in Python.")
    for cell in cells:
        if not cell.marked and (place := _misplaced(cell.source)):
            raise SubmissionError(
                f"{name}, cell {cell.number}: `#| export` is on line {place}.",
                "It marks a cell only from its first line, before any code.",
            )
    return Notebook(path=path, cells=cells)


def _cells(value: Any) -> Iterator[Cell]:
    """Code cells of format 4, or of the worksheets of format 3."""
    if "worksheets" in value:
        every = [cell for sheet in value["worksheets"] for cell in sheet["cells"]]
    else:
        every = value["cells"]
    for number, cell in enumerate(every, start=1):
        if cell["cell_type"] != "code":
            continue
        source = cell["source"] if "source" in cell else cell["input"]
        text = source if isinstance(source, str) else "".join(source)
        metadata = cell.get("metadata") or {}
        tags = [tag.strip().lower() for tag in metadata.get("tags") or () if isinstance(tag, str)]
        yield Cell(number=number, source=text, marked=TAG in tags or _is_marked(text))


def _is_marked(source: str) -> bool:
    """Whether a mark is among the comments that a cell begins with."""
    for line in source.splitlines():
        text = line.strip()
        if _MARK.match(text):
            return True
        if text and not text.startswith(("#", "%%")):
            return False
    return False


def _misplaced(source: str) -> int | None:
    """Line of a mark that stands behind code."""
    lines = enumerate(source.splitlines(), start=1)
    return next((number for number, line in lines if _MARK.match(line.strip())), None)


def _names(source: str) -> set[str]:
    """Names that a cell defines or imports at its top; commands of IPython are passed over."""
    lines = ["" if _COMMAND.search(line) else line for line in source.splitlines()]
    try:
        tree = ast.parse("\n".join(lines))
    except (SyntaxError, ValueError):
        return set()
    names: set[str] = set()
    for node in tree.body:
        match node:
            case ast.Import(names=found) | ast.ImportFrom(names=found):
                names |= {(one.asname or one.name).partition(".")[0] for one in found}
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Assign() | ast.AnnAssign() | ast.With() | ast.For() | ast.If() | ast.Try():
                names |= {
                    one.id
                    for one in ast.walk(node)
                    if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)
                }
    return names


def _language(value: Any) -> str:
    """Language of the kernel; empty where the notebook does not say."""
    metadata = value.get("metadata")
    if not isinstance(metadata, dict):
        return ""
    for key, word in (("language_info", "name"), ("kernelspec", "language")):
        found = metadata.get(key)
        if isinstance(found, dict) and isinstance(found.get(word), str):
            return str(found[word])
    return ""


def _why(content: bytes, error: Exception) -> str:
    start = content.lstrip(b"\xef\xbb\xbf \t\r\n")[:200].lower()
    if start.startswith((b"<!doctype", b"<html")):
        return "it is a web page. Download the file itself (on GitHub: Raw)."
    if start.startswith(b"version https://git-lfs"):
        return "it is a pointer of Git LFS. Run `git lfs pull`."
    if b"<<<<<<<" in content and b">>>>>>>" in content:
        return "it holds the marks of an unfinished git merge."
    if isinstance(error, json.JSONDecodeError) and (
        error.pos >= len(error.doc.rstrip()) - 1 or error.msg.startswith("Unterminated")
    ):
        return "it is cut off."
    return f"it is no JSON ({str(error)[:80]})."
