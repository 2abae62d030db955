"""The files of the worked path earn what its page says."""

import re
from pathlib import Path

import eva
from eva.experiments import reference

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "lessons" / "path.md").read_text(encoding="utf-8")


def test_the_first_network_of_the_path_earns_seven_points_without_training() -> None:
    report = eva.check(str(DOCS / "snippets" / "pooled.py"))
    assert report.points == 7
    model = eva.load_submission(str(DOCS / "snippets" / "pooled.py")).build()
    assert sum(p.numel() for p in model.parameters()) == 4_360
    field = eva.receptive_field(model, (1, 28, 28), layer="3.0")
    assert field.size == (14, 14)


def test_the_answer_of_the_path_is_the_reference_and_its_table_adds_up() -> None:
    answer = eva.load_submission(str(DOCS / "snippets" / "answer.py"))
    assert answer.recipe == reference.RECIPE
    model = answer.build()
    rows = re.findall(
        r"\| `(?:conv_block|transition|gap_head)[^|]*\|[^|]*\| ([\d,]+) \| (\d+) \|", PAGE
    )
    sizes = [sum(p.numel() for p in part.parameters()) for part in model.children()]
    assert [int(size.replace(",", "")) for size, _ in rows] == sizes
    assert sum(sizes) == sum(p.numel() for p in reference.build_model().parameters()) == 7_753
    names = [name for name, _ in model.named_children()]
    fields = [eva.receptive_field(model, (1, 28, 28), layer=name).size[0] for name in names]
    assert [int(field) for _, field in rows] == fields
