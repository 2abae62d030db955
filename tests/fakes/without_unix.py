"""Importing this takes away what Windows has not, as far as eva could trip over it.

Modules of Unix are there for other packages, and not for eva and its tests.
"""

import builtins
import os
import signal
import sys
from typing import Any

import filelock  # noqa: F401  other packages may use what is taken away below, once
import jinja2  # noqa: F401
import matplotlib.pyplot
import mlxtend.data  # noqa: F401
import platformdirs
import pydantic  # noqa: F401
import pytest  # noqa: F401
import torch.export  # noqa: F401
import torchvision  # noqa: F401
import typer.testing  # noqa: F401

platformdirs.user_cache_path("eva-course")
matplotlib.pyplot.close(matplotlib.pyplot.figure())

MODULES = {"fcntl", "resource", "pwd", "grp", "termios", "pty", "tty"}
OURS = ("eva", "tests", "conftest", "test_")
FUNCTIONS = ("fork", "forkpty", "sched_getaffinity", "setuid", "setgid")
FUNCTIONS += ("setsid", "killpg", "getpgid", "pread", "pwrite", "mkfifo")
FUNCTIONS += ("O_NOFOLLOW", "O_DIRECTORY", "O_NONBLOCK")

_real = builtins.__import__


def _guarded(name: str, globals: Any = None, *more: Any, **others: Any) -> Any:
    if name in MODULES and str((globals or {}).get("__name__", "")).startswith(OURS):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return _real(name, globals, *more, **others)


if sys.platform != "win32":
    builtins.__import__ = _guarded
    for function in FUNCTIONS:
        if hasattr(os, function):
            delattr(os, function)
    del signal.SIGALRM, signal.setitimer
