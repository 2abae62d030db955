"""The public surface is a decision: a change here is a change for every user."""

import subprocess
import sys

import pytest

import eva

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
