"""Students' code is called here: a network is built, and an error says where theirs raised."""

from __future__ import annotations

import re
import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from eva.errors import SubmissionError
from eva.seeds import seeded

EXAMPLE = "A submission has `def build_model(): return nn.Sequential(...)` and `RECIPE = Recipe()`."
_IMPORTED = 'put it below `if __name__ == "__main__":`'
_KNOWN: tuple[tuple[type[BaseException], str, str], ...] = (
    (
        TypeError,
        r"\(\) missing \d+ required positional argument",
        "It is called without arguments: give them defaults, or write a lambda.",
    ),
    (
        SystemExit,
        "",
        f"A submission is imported, not run: leave exit() and argparse out, or {_IMPORTED}.",
    ),
    (
        EOFError,
        "reading a line",
        f"A submission is imported, and nobody answers input(): leave it out, or {_IMPORTED}.",
    ),
    (
        Exception,
        "NVIDIA|CUDA|cuda",
        "A submission runs on the CPU; where it trains is the trainer's affair: leave out .cuda() "
        "and .to(device).",
    ),
    (
        ModuleNotFoundError,
        r"^No module named '[^']+'$",
        "It is not installed here. A submission needs PyTorch and eva alone: leave the import out.",
    ),
    (
        SyntaxError,
        "null bytes|codec can't decode",
        "The file is no text in UTF-8: save it as UTF-8 in your editor.",
    ),
    (
        AttributeError,
        r"before Module\.__init__\(\) call",
        "Begin the layer's __init__ with super().__init__().",
    ),
    (RecursionError, "", "A function calls itself without an end."),
)
"""Mistakes that many make: the error, words of its message, and what to do."""
_SHOWN = 3  # frames at either end of a long traceback
PACKAGE = "_eva_submission_"  # begins the names of imported submissions, a number follows
_OURS = Path(__file__).resolve().parent
_INPUTS = ("<ipython-input", "<stdin>", "<python-input")  # what is typed into a Python shell
_PACKAGES = re.compile(rf"{PACKAGE}[0-9a-f]+\.")

Builder = Callable[[], nn.Module]


def build_network(builder: object, name: str, seed: int = 0) -> nn.Module:
    """Call what builds a network, with the generators seeded so that weights repeat.

    Args:
        builder: A function, a lambda, a Module class: whatever is called without arguments.
        name: That errors call it by, such as "net.py: build_model()".
        seed: Of PyTorch's generators, ``random`` and ``numpy.random``.

    Raises:
        SubmissionError: It needs arguments, raises, or returns no module.
    """
    if isinstance(builder, nn.Module):
        raise SubmissionError(
            f"{name} is a network that is built already; it is built anew for every seed.",
            f"Give what builds it: `lambda: {type(builder).__name__}(...)`, or a function.",
        )
    if not callable(builder):
        raise SubmissionError(f"{name} is {kind_of(builder)}, not a function.", EXAMPLE)
    with seeded(torch.device("cpu"), seed):
        try:
            model = builder()
        except (Exception, SystemExit) as error:
            raise SubmissionError(
                f"{name} raised {type(error).__name__}: {in_their_words(str(error))}",
                hint_of(error),
            ) from error
    return require_module(model, name)


def built(model: nn.Module | Builder, seed: int = 0) -> nn.Module:
    """A network as it is, or what a function or class builds."""
    if isinstance(model, nn.Module):
        return model
    return build_network(model, name_of(model), seed)


def name_of(builder: object) -> str:
    """What a builder is called: the name of the function or class."""
    found: Any = getattr(builder, "func", builder)  # inside of functools.partial
    name = getattr(found, "__name__", type(found).__name__)
    return f"{'lambda' if name == '<lambda>' else name}()"


def require_module(value: object, source: str) -> nn.Module:
    """Return the value, if it is a module.

    Raises:
        SubmissionError: ``source`` gives something else; the message says what.
    """
    if isinstance(value, nn.Module):
        return value
    raise SubmissionError(
        f"{source} gives {kind_of(value)}, not an nn.Module.",
        "Return an instance: `return Net()`." if isinstance(value, type) else EXAMPLE,
    )


def kind_of(value: object) -> str:
    """What something is, for an error: "the class Net", "str"."""
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__


def frames_of(error: BaseException) -> str | None:
    """Lines of a traceback that lie in the student's own files or cells; of many the ends."""
    lines = list(map(place_of, their_frames(error)))
    if len(lines) > 2 * _SHOWN:
        lines[_SHOWN:-_SHOWN] = [f"... {len(lines) - 2 * _SHOWN:,} more"]
    return "\n  ".join(lines) or None


def hint_of(error: BaseException) -> str | None:
    """Where a student's code raised, and what to do where that is known."""
    return "\n  ".join(filter(None, (frames_of(error), advice_for(error)))) or None


def advice_for(error: BaseException) -> str:
    """What to do about an error of a student's code; empty where it is no usual one."""
    text = str(error)
    for kind, words, advice in _KNOWN:
        if isinstance(error, kind) and re.search(words, text):
            own = kind is not TypeError or not their_frames(error)  # a call of theirs has its line
            return advice if own else ""
    return ""


def their_frames(error: BaseException) -> list[traceback.FrameSummary]:
    """The frames of a traceback that lie in the student's own files or cells."""
    frames = traceback.extract_tb(error.__traceback__)
    return [frame for frame in frames if is_theirs(frame.filename)]


def place_of(frame: traceback.FrameSummary) -> str:
    """File, line and text of a frame."""
    return f'File "{frame.filename}", line {frame.lineno}: {frame.line}'


def is_theirs(filename: str) -> bool:
    """Whether code is a student's: neither ours nor installed nor Python's own."""
    if filename.startswith("<"):
        return filename.startswith(_INPUTS)
    path = Path(filename).resolve()
    if not {"site-packages", "dist-packages"}.isdisjoint(path.parts):
        return False
    if path.is_relative_to(_OURS):
        return path.is_relative_to(_OURS / "experiments")
    library = sysconfig.get_paths()["stdlib"]
    return not path.is_relative_to(library)


def in_their_words(text: str) -> str:
    """A message without the name that we have given to their package."""
    return _PACKAGES.sub("", text)
