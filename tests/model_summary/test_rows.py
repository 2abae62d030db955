"""Every parameter is counted once, in a row that can be found, whether it was used or not."""

import json
import subprocess
import sys

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

from eva.errors import EvaError
from eva.model_summary import Row, Summary, summary


def row(found: Summary, name: str) -> Row:
    [one] = [row for row in found.rows if row.name == name]
    return one


def adds_up(found: Summary) -> bool:
    own = sum(row.own_params for row in found.rows)
    return own == found.total_params == found.rows[0].params


class Forgetful(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.forgotten, self.b = (
            nn.Conv2d(1, 8, 3),
            nn.Conv2d(8, 8, 3),
            nn.Conv2d(8, 10, 3),
        )
        self.idle = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.a(x).relu()).mean((2, 3))


def test_a_forgotten_layer_has_a_row_that_says_so() -> None:
    found = summary(Forgetful(), (1, 28, 28))
    forgotten = row(found, "forgotten")
    assert (forgotten.note, forgotten.params, forgotten.output_size) == ("never ran", 584, None)
    assert row(found, "idle").note == "never ran"
    assert "584 parameters of `forgotten` never ran." in found.notes
    assert [row.name for row in found.rows] == ["", "a", "forgotten", "b", "idle"]
    assert adds_up(found)


@pytest.mark.parametrize("format", ["classic", "rich", "markdown", "html", "json", "csv"])
def test_every_format_says_that_it_never_ran(format: str) -> None:
    assert "never ran" in summary(Forgetful(), (1, 28, 28)).render(format)


def test_the_auxiliary_heads_of_googlenet_never_ran_in_eval_mode() -> None:
    model = torchvision.models.googlenet(weights=None, init_weights=False)
    found = summary(model, (3, 224, 224), depth=1)
    assert [row.name for row in found.rows if row.note] == ["aux1", "aux2"]
    assert adds_up(found)
    trained = summary(model, (3, 224, 224), mode="train")
    assert not any(row.note for row in trained.rows)
    assert adds_up(trained)
    assert trained.total_params == found.total_params


def test_after_a_failure_nothing_is_called_forgotten() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(5, 2), nn.Linear(2, 2))
    with pytest.raises(EvaError) as caught:
        summary(model, (1, 8, 8))
    partial = caught.value.summary
    assert [row.name for row in partial.rows] == ["", "0", "1", "2"]
    assert not any("never ran" in note for note in partial.notes)


class Scaled(nn.Module):
    """Parameters on the model itself, in a list, in a dict, and in a namespace."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))
        self.shifts = nn.ParameterList([nn.Parameter(torch.zeros(4)), nn.Parameter(torch.ones(5))])
        self.tables = nn.ParameterDict({"a": nn.Parameter(torch.zeros(6))})
        self.parts = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])

    def forward(self, x: Tensor) -> Tensor:
        return self.parts[0](x + self.shifts[0]) * self.scale[0]


def test_parameters_of_the_model_itself_and_of_lists_are_listed() -> None:
    found = summary(Scaled(), (4,))
    assert found.rows[0].own_params == 3
    assert (row(found, "shifts").params, row(found, "shifts").note) == (9, "")
    assert (row(found, "tables").params, row(found, "tables").note) == (6, "never used")
    assert (row(found, "parts.0").params, row(found, "parts.1").note) == (20, "never ran")
    assert adds_up(found)
    assert "ParameterList" in str(found)


class Leftover(nn.Module):
    """A parameter that forward never uses, and one of which only a number is used."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.ones(7))
        self.scale = nn.Parameter(torch.ones(()))
        self.inner = nn.Linear(4, 4)
        self.inner.extra = nn.Parameter(torch.ones(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x) * self.scale.item()


def test_parameters_that_nothing_uses_have_rows_of_their_own() -> None:
    found = summary(Leftover(), (4,))
    rows = {r.name: (r.params, r.note) for r in found.rows if r.type == "Parameter"}
    assert rows == {"table": (7, "never used"), "inner.extra": (2, "never used")}
    assert (row(found, "inner").own_params, found.rows[0].own_params) == (20, 1)
    assert adds_up(found)
    assert any("9 parameters of `table`, `inner.extra` never ran" in note for note in found.notes)


def test_what_was_used_without_being_called_belongs_to_its_caller() -> None:
    found = summary(nn.TransformerEncoderLayer(16, 2, 32), (5, 16))
    attention = row(found, "self_attn")
    assert (attention.params, attention.leaf) == (4 * 16 * 16 + 4 * 16, True)
    assert not any(row.note for row in found.rows)
    assert adds_up(found)


def pruned() -> nn.Module:
    layer = nn.Linear(6, 4)
    prune.random_unstructured(layer, "weight", 0.5)
    return layer


@pytest.mark.parametrize(
    ("build", "params", "type_name"),
    [
        (lambda: parametrizations.weight_norm(nn.Linear(6, 4)), 4 + 24 + 4, "Linear"),
        (lambda: parametrizations.spectral_norm(nn.Linear(6, 4)), 24 + 4, "Linear"),
        (lambda: parametrizations.orthogonal(nn.Linear(6, 4)), 24 + 4, "Linear"),
        (pruned, 24 + 4, "Linear"),
    ],
)
def test_parametrized_and_pruned_layers_are_one_row_and_count_once(
    build: object, params: int, type_name: str
) -> None:
    model = nn.Sequential(nn.ReLU(), build())  # type: ignore[operator]
    for found in (summary(model, (6,)), summary(model)):
        assert [(row.type, row.params) for row in found.rows] == [
            ("Sequential", params),
            ("ReLU", 0),
            (type_name, params),
        ]
        assert adds_up(found)


def test_tied_weights_count_once() -> None:
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.ReLU(), nn.Linear(4, 4, bias=False))
    model[2].weight = model[0].weight
    for found in (summary(model, (4,)), summary(model)):
        assert [row.params for row in found.rows] == [16, 16, 0, 0]
        assert "shared" in found.rows[3].note
        assert found.total_params == 16


def test_without_an_input_there_are_parameters_and_structure() -> None:
    found = summary(Forgetful())
    assert [(row.name, row.params) for row in found.rows] == [
        ("", 1394),
        ("a", 80),
        ("forgotten", 584),
        ("b", 730),
        ("idle", 0),
    ]
    assert found.mult_adds is None
    assert all(row.output_size is None and row.rf is None for row in found.rows)
    assert "nothing ran" in found.notes[0]
    assert json.loads(found.render("json"))["mult_adds"] is None
    assert all(found.render(format) for format in ("classic", "rich", "markdown", "html", "csv"))


def test_without_an_input_lazy_layers_are_named() -> None:
    found = summary(nn.Sequential(nn.LazyLinear(4), nn.Linear(4, 2)))
    assert found.total_params == 10
    assert "0.weight" in found.notes[1]


def test_lazy_layers_get_the_shapes_that_the_input_gives_them() -> None:
    model = nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(3))
    found = summary(model, (1, 8, 8))
    assert [row.params for row in found.rows] == [475, 40, 0, 435]
    assert adds_up(found)
    assert found.mult_adds == 36 * 4 * 9 + 144 * 3


class Flagged(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x: Tensor, twice: bool = False) -> Tensor:
        y: Tensor = self.layer(x)
        return y + self.layer(x) if twice else y


def test_arguments_have_names_and_may_be_flags() -> None:
    assert summary(Flagged(), inputs={"x": torch.rand(3, 4)}).mult_adds == 8
    assert summary(Flagged(), inputs={"x": torch.rand(3, 4), "twice": True}).mult_adds == 16


def test_a_size_may_have_the_batch_and_the_summary_says_how_it_was_read() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 2))
    with_batch = summary(model, (2, 3, 8, 8))
    assert with_batch.mult_adds == summary(model, (3, 8, 8)).mult_adds
    assert with_batch.rows[1].output_size == (4, 6, 6)


def test_a_norm_over_the_map_is_shown_beside_the_field_not_in_its_place() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), nn.Conv2d(4, 4, 3))
    text = summary(model, (1, 8, 8)).render("markdown")
    assert "| 5x5+ | 1 |" in text
    assert "+ statistics of the whole map" in text


class Uneven(nn.Module):
    """Some units see three rows, others one."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([nn.functional.avg_pool2d(x, (3, 1), 1, (1, 0)), x], 2)


def test_units_that_see_unequal_parts_are_no_region() -> None:
    text = summary(Uneven(), (1, 4, 4), columns=["rf"]).render("markdown")
    assert "1..3x1" in text
    assert "units differ" in text


class Pools(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(x, 3, stride=2)


def test_columns_show_the_settings_of_a_layer() -> None:
    model = nn.Sequential(
        nn.Conv2d(2, 4, (3, 1), stride=(2, 1), padding=(1, 0), groups=2),
        nn.Conv2d(4, 4, 3, padding="same", dilation=2),
        nn.AvgPool2d(2),
        Pools(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 2),
    )
    columns = ["kernel", "stride", "padding", "groups", "params %"]
    found = summary(model, (2, 20, 20), columns=columns)
    lines = [line.split(" | ")[1:] for line in found.render("markdown").splitlines()[3:10]]
    cells = [[text.strip(" |") for text in line] for line in lines]
    total = 16 + 148 + 10
    assert cells == [
        ["3x1", "2x1", "1x0", "2", f"{1600 / total:.1f}"],
        ["3x3", "1", "2", "1", f"{14800 / total:.1f}"],
        ["2x2", "2", "0", "", ""],
        ["3x3", "2", "0", "", ""],
        ["", "", "", "", ""],
        ["", "", "", "", ""],
        ["", "", "", "", f"{1000 / total:.1f}"],
    ]
    first = json.loads(found.render("json"))["rows"][1]
    assert (first["kernel"], first["stride"], first["groups"]) == ([3, 1], [2, 1], 2)
    assert "kernel" in found.render("csv").splitlines()[0].split(",")


def test_pandas_gets_a_line_a_row() -> None:
    pandas = pytest.importorskip("pandas")
    table = summary(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU()), (1, 8, 8)).to_pandas()
    assert isinstance(table, pandas.DataFrame)
    assert list(table["params"]) == [20, 20, 0]
    assert list(table["rf_size"])[1] == [3, 3]


def test_without_pandas_the_error_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['pandas'] = None\n"
        "from torch import nn; import eva\n"
        "eva.summary(nn.ReLU(), (2,)).to_pandas()\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install pandas" in ran.stderr


def test_training_mode_is_what_batch_norm_sees() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).eval()
    field = summary(model, (1, 8, 8), mode="train").rows[2].rf
    assert field is not None
    assert field.size == (8, 8)
    assert not model.training
