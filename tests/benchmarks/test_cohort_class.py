"""The class of the benchmark: whatever was handed in is one row, and no bomb takes long."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from eva.grading.cohort.staging import stage

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def cohort_class() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(HERE)
        yield importlib.import_module("cohort_class")


def test_the_class_has_60_uploads_and_60_rows(cohort_class: ModuleType, tmp_path: Path) -> None:
    kinds = cohort_class.write_class(tmp_path / "class")
    rows = {one.student: one for one in stage([tmp_path / "class"])}
    assert sum(kinds.values()) == len(rows) == 60
    packed = {name: one for name, one in rows.items() if name.startswith(("archive", "other"))}
    taken = {name for name, one in packed.items() if one.refusal is None}
    assert taken == {"archive honest", "archive capitals"}
    assert all(one.refusal is None for name, one in rows.items() if name not in packed)
