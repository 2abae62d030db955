"""What is too good to be true is told, by what the records hold."""

import json
from collections.abc import Iterator
from pathlib import Path

from eva.grading.checks.plausible import MARGIN, RECORDED, too_good

RECORDS = Path(__file__).parents[3] / "docs" / "records"


def runs(value: object) -> Iterator[tuple[int, float]]:
    """Parameters and best test accuracy of every run inside a record."""
    if isinstance(value, list):
        for item in value:
            yield from runs(item)
    if not isinstance(value, dict):
        return
    rows, size = value.get("rows"), value.get("parameters")
    if isinstance(rows, list) and isinstance(size, int):
        found = [r["test_accuracy"] for r in rows if isinstance(r, dict) and "test_accuracy" in r]
        if any(found):
            yield size, max(a for a in found if a is not None)
    for item in value.values():
        yield from runs(item)


def test_table_is_the_best_of_each_size_in_the_records() -> None:
    best: dict[int, float] = {}
    for path in RECORDS.rglob("*.json"):
        for size, accuracy in runs(json.loads(path.read_text(encoding="utf-8"))):
            best[size] = max(accuracy, best.get(size, 0.0))
    assert tuple(sorted(best.items())) == RECORDED


def test_weights_trained_on_the_test_images_are_flagged_and_no_record_is() -> None:
    flag = too_good(7308, 99.90)
    assert flag is not None and "99.90 %" in flag and "7,308" in flag
    assert [row for row in RECORDED if too_good(*row)] == []
    assert too_good(20_000, max(best for _, best in RECORDED) + MARGIN / 2) is None
