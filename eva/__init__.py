"""Learn CNNs by measuring them: a library, a course and an autograder in one.

Names are imported on first use, so that `eva --help` need not wait for PyTorch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {  # the module of a name; with a colon, the name that it has there
    "Callback": "eva.training.callbacks",
    "Dataset": "eva.data",
    "EvaError": "eva.errors",
    "Recipe": "eva.recipe",
    "Run": "eva.record",
    "Submission": "eva.submission",
    "Trainer": "eva.training.trainer",
    "check": "eva.grading.practice.grade",
    "grade": "eva.grading.practice.grade",
    "load_data": "eva.data",
    "load_submission": "eva.submission",
    "lr_find": "eva.training.lr_finder",
    "receptive_field": "eva.rf",
    "study": "eva.studies:run_study",
    "summary": "eva.model_summary",
    "trace": "eva.rf",
}

__all__ = ["__version__", *_HOMES]

if TYPE_CHECKING:
    from eva.data import Dataset as Dataset
    from eva.data import load_data as load_data
    from eva.errors import EvaError as EvaError
    from eva.grading.practice.grade import check as check
    from eva.grading.practice.grade import grade as grade
    from eva.model_summary import summary as summary
    from eva.recipe import Recipe as Recipe
    from eva.record import Run as Run
    from eva.rf import receptive_field as receptive_field
    from eva.rf import trace as trace
    from eva.studies import run_study
    from eva.submission import Submission as Submission
    from eva.submission import load_submission as load_submission
    from eva.training.callbacks import Callback as Callback
    from eva.training.lr_finder import lr_find as lr_find
    from eva.training.trainer import Trainer as Trainer

    study = run_study


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'eva' has no attribute {name!r}")
    module, _, other = _HOMES[name].partition(":")
    value = getattr(importlib.import_module(module), other or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
