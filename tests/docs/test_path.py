"""The files of the worked path earn what its page says."""

import re
from pathlib import Path
from types import ModuleType

import pytest
from torch import nn

import eva
from eva.experiments import exp3, exp4, reference

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "lessons" / "path.md").read_text(encoding="utf-8")


def test_the_first_network_of_the_path_earns_seven_points_without_training() -> None:
    report = eva.check(str(DOCS / "snippets" / "pooled.py"))
    assert report.points == 7
    model = eva.load_submission(str(DOCS / "snippets" / "pooled.py")).build()
    assert sum(p.numel() for p in model.parameters()) == 4_360
    field = eva.receptive_field(model, (1, 28, 28), layer="3.0")
    assert field.size == (14, 14)


@pytest.mark.parametrize(("file", "experiment"), [("seen", exp3), ("calm", exp4)])
def test_a_file_of_evenings_4_and_5_is_the_experiment_whose_records_it_quotes(
    file: str, experiment: ModuleType
) -> None:
    path = str(DOCS / "snippets" / f"{file}.py")
    step = eva.load_submission(path)
    model = step.build()
    assert step.recipe == experiment.RECIPE

    def layers(model: nn.Module) -> list[str]:
        kept = (nn.Conv2d, nn.ReLU, nn.BatchNorm2d, nn.Dropout, nn.MaxPool2d)
        return [repr(layer) for layer in model.modules() if isinstance(layer, kept)]

    assert layers(model) == layers(experiment.build_model())
    assert eva.receptive_field(model, (1, 28, 28), layer="2").size == (20, 20)
    assert f"snippets/{file}.py" in PAGE and eva.check(path).points == 7


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
