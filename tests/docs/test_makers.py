"""What docs/generate.py makes of records and of code."""

import inspect
import re
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

from eva import errors

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
RAISED = re.compile(r"(?:raise|return) (\w+Error)\(")


@pytest.fixture(scope="module")
def makers() -> Iterator[SimpleNamespace]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS))
        from makers import benchmarks, charts, code, records, reference

        yield SimpleNamespace(
            benchmarks=benchmarks, charts=charts, code=code, records=records, reference=reference
        )
        for name in [one for one in sys.modules if one.split(".")[0] == "makers"]:
            del sys.modules[name]


@pytest.fixture
def no_records(
    makers: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    monkeypatch.setattr(makers.records, "RECORDS", tmp_path)
    monkeypatch.setattr(makers.benchmarks, "PROPERTY", tmp_path / "property.json")
    monkeypatch.setattr(makers.benchmarks, "SUMMARY", tmp_path / "summary.json")
    makers.records.load.cache_clear()
    yield
    makers.records.load.cache_clear()


@pytest.mark.usefixtures("no_records")
def test_pages_can_be_made_without_any_record(makers: SimpleNamespace) -> None:
    made = makers.records.texts() | makers.charts.texts() | makers.benchmarks.texts()
    assert made["generated/exp4-epochs.md"] == "No record yet."
    assert made["generated/benchmark-summary.md"] == "No record yet."
    assert "No record of exp4 yet" in made["generated/exp4-curves.html"]
    names = makers.records.numbers()
    assert names["exp4.test"] == "–" and names["exp4.published_last_test"] == "99.41"


def test_every_number_that_pages_ask_for_exists_without_records_too(
    makers: SimpleNamespace, no_records: None
) -> None:
    pages = [p for p in DOCS.rglob("*.md") if "generated" not in p.parts]
    asked = {name for p in pages for name in re.findall(r"\{\{ ([\w.]+) \}\}", p.read_text())}
    assert asked and asked <= makers.records.numbers().keys()


def test_a_layer_is_compared_with_one_of_its_kind(makers: SimpleNamespace) -> None:
    before = ["Net(", "  (a): Sequential(", "    Conv2d(1, 8)", "    Dropout(p=0.1)", "    ReLU()"]
    after = ["Net(", "  (a): Sequential(", "    Conv2d(1, 9)", "    ReLU()", "  (b): Linear(9, 1)"]
    lines = makers.code.layer_diff(before, after, ("old", "new")).splitlines()
    assert lines[3:-1] == [
        " Net(",
        "   (a): Sequential(",
        "-    Conv2d(1, 8)",
        "+    Conv2d(1, 9)",
        "-    Dropout(p=0.1)",
        "     ReLU()",
        "+  (b): Linear(9, 1)",
    ]


def test_every_error_that_eva_raises_is_in_the_lists(makers: SimpleNamespace) -> None:
    """Counted in another way than the lists are made: by a pattern, line by line."""
    listed = {message.place for message in makers.reference.messages()}
    families = makers.reference._families
    assert families is not None
    for path in sorted((ROOT / "eva").rglob("*.py")):
        names = set(RAISED.findall(path.read_text())) & set(vars(errors))
        place = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        assert not names or place in listed, f"{place} raises {names}"


def test_every_kind_of_error_has_a_section_that_says_what_to_do() -> None:
    page = (DOCS / "guides" / "errors.md").read_text()
    sections = dict(
        re.findall(r"^## (\w+): [^\n]+\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    )
    kinds = {name for name, value in vars(errors).items() if inspect.isclass(value)}
    lists = {path.stem.removeprefix("errors-") for path in DOCS.glob("generated/errors-*.md")}
    lists -= {"grader"}  # of several classes, on the same page
    assert kinds | lists <= sections.keys()
    for name in kinds | lists:
        advice = re.sub(r"--8<--.*", "", sections[name]).split()
        assert len(advice) > 10, f"{name}: the page shows messages, but says nothing"


def test_the_learning_rate_drops_where_its_axis_says_that_an_epoch_is_over(
    makers: SimpleNamespace,
) -> None:
    drawn = makers.charts.accuracy_chart("exp4")
    labels = {
        int(e): float(x) for x, e in re.findall(r'<text x="([\d.]+)"[^>]*>(\d+)</text>', drawn)
    }
    (rate,) = re.findall(r'class="line rate" d="M([^"]+)"', drawn)
    points = [tuple(map(float, point.split())) for point in rate.split("L")]
    falls = [b[0] for a, b in pairwise(points) if b[1] > a[1] + 5]
    ends = [(labels[5] + labels[7]) / 2, (labels[11] + labels[13]) / 2]  # of epochs 6 and 12
    assert falls == pytest.approx(ends, abs=2)


def test_every_part_of_a_recipe_is_on_its_page_with_range_default_and_a_valid_example() -> None:
    from eva import recipe

    page = (DOCS / "generated" / "recipes.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"(?ms)^### (\w+)$(.*?)(?=^##|\Z)", page))
    kinds = {
        name
        for name, value in vars(recipe).items()
        if isinstance(value, type)
        and issubclass(value, recipe.recipe.Part)
        and "kind" in value.model_fields
    }
    assert kinds == sections.keys()
    for name, section in sections.items():
        (example,) = re.findall(r"```python\n(.*?)\n```", section)
        made = eval(example, dict(vars(recipe)))
        assert type(made).__name__ == name and "to a curve.** " in section
        for key in type(made).model_fields.keys() - {"kind"}:
            assert f"| `{key}` |" in section, (name, key)
    assert "| `momentum` | number ≥ 0 and < 1 | `0.9` |" in sections["SGD"]
    assert "| `degrees` | number ≥ 0 and < 90 | required |" in sections["Shear"]
    for key in recipe.Recipe.model_fields:
        assert f"| `{key}` |" in page, key


def test_every_message_has_words_for_what_to_do(makers: SimpleNamespace) -> None:
    for table in makers.reference.error_lists().values():
        for row in table.splitlines()[2:]:
            for cell in row.strip("| ").split(" | "):
                assert re.sub("‹[^›]*›", "", cell).strip(" .:,"), row
