"""The summary shows what ran, to the byte where there is a published one."""

import ast
import importlib
import json
import subprocess
import sys
from collections.abc import Callable
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import eva
from eva.errors import EvaError, ForwardError, InputSizeError
from eva.model_summary import Column, Format, ModelForwardError, format_size, parse_size, summary
from eva.rf import register_rule, sliding_rule
from eva.submission import load_submission

REFERENCE = Path(__file__).parents[1] / "golden" / "reference"
TRUE_FIELDS = ["8x8", "12x12", "16x16", "20x20", "20x20", "28x28"]
PUBLISHED_FIELDS = ["7x7", "11x11", "15x15", "19x19", "19x19", "27x27"]


def experiment(name: str) -> nn.Module:
    return load_submission(f"eva.experiments.{name}").build()


@pytest.mark.parametrize("name", ["exp4", "exp5"])
def test_classic_is_the_published_summary_but_for_the_fields_after_the_pool(name: str) -> None:
    published = (REFERENCE / f"{name}_summary.txt").read_text().splitlines()
    ours = str(summary(experiment(name), (1, 28, 28))).splitlines()
    assert len(ours) == len(published)
    fields = []
    for mine, theirs in zip(ours, published, strict=True):
        if mine != theirs:
            head, _, field = mine.rpartition(" ")
            assert head.rstrip() == theirs.rpartition(" ")[0].rstrip()
            fields.append(field)
    assert fields == TRUE_FIELDS


@pytest.mark.parametrize("name", ["exp4", "exp5"])
def test_a_rule_that_lets_the_pool_keep_its_field_gives_the_published_file(name: str) -> None:
    wrong = register_rule(
        "aten.max_pool2d_with_indices", lambda op: sliding_rule(op, kernel=1, stride=2)
    )
    with wrong:
        text = str(summary(experiment(name), (1, 28, 28)))
    assert text == (REFERENCE / f"{name}_summary.txt").read_text()
    assert text != str(summary(experiment(name), (1, 28, 28)))


@pytest.mark.parametrize("format", [format for format in Format if format is not Format.RICH])
def test_every_format_is_golden(format: Format, golden: Callable[[str, str], None]) -> None:
    text = summary(experiment("exp5"), (1, 28, 28)).render(format)
    golden(f"summary/exp5.{format}.txt", text)


@pytest.mark.parametrize("width", [60, 100])
def test_the_rich_format_is_golden(width: int, golden: Callable[[str, str], None]) -> None:
    text = summary(experiment("exp5"), (1, 28, 28)).render("rich", width=width)
    golden(f"summary/exp5.rich.{width}.txt", text)


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_rich_respects_the_width(width: int) -> None:
    text = summary(experiment("exp5"), (1, 28, 28)).render("rich", width=width)
    assert max(map(len, text.splitlines())) <= width


def test_json_rows_have_the_promised_keys() -> None:
    value = json.loads(summary(experiment("exp5"), (1, 28, 28)).render("json"))
    pool = next(row for row in value["rows"] if row["type"] == "MaxPool2d")
    assert pool == {
        "name": "transition_1.0",
        "type": "MaxPool2d",
        "depth": 2,
        "input_size": [9, 22, 22],
        "output_size": [9, 11, 11],
        "params": 0,
        "trainable": 0,
        "mult_adds": 0,
        "rf": {
            "size": [8, 8],
            "jump": [2.0, 2.0],
            "padding": [0.0, 0.0],
            "start": [3.5, 3.5],
            "density": [1.0, 1.0],
            "status": "exact",
        },
    }
    assert value["total_params"] == 7753


def test_columns_and_depth_are_selectable() -> None:
    found = summary(experiment("exp5"), (1, 28, 28), columns=["rf", "trainable"], depth=1)
    lines = found.render("markdown").splitlines()
    assert lines[0] == "| layer | RF | Trainable |"
    assert lines[3] == "| `conv_block_1` Sequential | 5x5 | 846 |"
    assert len([line for line in lines if line.startswith("|")]) == 2 + 6


def test_it_is_html_in_a_notebook_and_escapes_names() -> None:
    class Evil(nn.ReLU):
        pass

    Evil.__name__ = "<script>"
    html = summary(nn.Sequential(Evil()), (1, 4, 4))._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_summary_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    eva.summary(experiment("exp5"), (1, 28, 28))
    assert capsys.readouterr() == ("", "")


def test_eva_summary_is_the_same_whatever_was_imported() -> None:
    importlib.import_module("eva.model_summary.summary")
    assert eva.summary is summary
    assert str(eva.summary(experiment("exp4"), (1, 28, 28))).startswith("-----")


def imports_within(package: str) -> dict[str, set[str]]:
    """Module -> modules of the package that it imports, for types or at run time."""
    root = Path(eva.__file__).parents[1]
    files = list((root / package.replace(".", "/")).rglob("*.py"))
    names = {
        ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): file
        for file in files
    }
    graph: dict[str, set[str]] = {}
    for name, file in names.items():
        imported = set()
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                inner = {f"{node.module}.{alias.name}" for alias in node.names} & set(names)
                imported |= inner or ({node.module} & set(names))
        graph[name] = imported
    return graph


def test_no_module_of_the_summary_imports_itself_in_a_circle() -> None:
    graph = imports_within("eva.model_summary")
    assert "eva.model_summary.result" in graph["eva.model_summary.render.html"]
    list(TopologicalSorter(graph).static_order())  # raises CycleError


def test_every_format_has_a_renderer() -> None:
    found = summary(nn.ReLU(), (1, 4, 4))
    assert all(found.render(format) for format in Format)


def test_the_command_loads_no_compiler_no_plots_and_no_other_summary(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("from torch import nn\n\n\ndef net():\n    return nn.ReLU()\n")
    code = (
        "import sys\nfrom eva.cli.app import app\n"
        "app(['summary', sys.argv[1], '-i', '1x4x4'], standalone_mode=False)\n"
        "heavy = ('torch._dynamo', 'matplotlib.pyplot', 'sympy', 'torchvision', 'torchinfo')\n"
        "sys.exit(', '.join(name for name in heavy if name in sys.modules) or 0)\n"
    )
    command = [sys.executable, "-c", code, f"{tmp_path / 'net.py'}:net"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "ReLU" in ran.stdout or "net" in ran.stdout


def test_the_model_is_left_as_it_was() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(), nn.Flatten())
    model[1].eval()  # torchinfo would put it back into training mode
    before = {key: value.clone() for key, value in model.state_dict().items()}
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    summary(model, (1, 8, 8))
    assert torch.equal(torch.rand(2), expected)
    assert [m.training for m in model] == [True, False, True, True]
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_a_shared_module_has_a_row_a_call_and_its_parameters_once() -> None:
    shared = nn.Conv2d(2, 2, 3, padding=1, bias=False)
    found = summary(nn.Sequential(shared, nn.ReLU(), shared), (2, 8, 8))
    rows = [row for row in found.rows if row.type == "Conv2d"]
    assert [row.params for row in rows] == [36, 0]
    assert [row.rf.size for row in rows if row.rf] == [(3, 3), (5, 5)]
    assert "shared" in rows[1].note
    assert found.total_params == 36
    assert found.mult_adds == 2 * 36 * 64


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(4, 3, 3, 3))
        self.inner = nn.Linear(4, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.relu(nn.functional.conv2d(x, self.weight))
        return self.inner(x.mean((2, 3)))


def test_functional_operations_are_counted_and_shown_on_request() -> None:
    found = summary(Functional(), (3, 8, 8), ops=True)
    operations = {row.type: row for row in found.rows if row.operation}
    assert {"convolution", "relu", "mean"} <= set(operations)
    assert operations["convolution"].mult_adds == 4 * 27 * 36
    assert operations["convolution"].rf is not None
    assert operations["convolution"].rf.size == (3, 3)
    assert found.mult_adds == 4 * 27 * 36 + 40  # the bias adds and multiplies nothing
    assert not any(row.operation for row in summary(Functional(), (3, 8, 8)).rows)


def test_frozen_parameters_are_counted_as_not_trainable() -> None:
    model = experiment("exp4")
    for parameter in model.conv_block_1.parameters():
        parameter.requires_grad = False
    found = summary(model, (1, 28, 28))
    assert found.total_params - found.trainable_params == 72 + 16 + 576 + 16


FAILURES = {
    "channels": (
        lambda: experiment("exp5"),
        (3, 28, 28),
        ["conv_block_1.0", "1 channels", "got 3"],
    ),
    "features": (
        lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(100, 10)),
        (1, 28, 28),
        ["'2' (Linear)", "100 features and got 1,352"],
    ),
    "too small": (
        lambda: nn.Sequential(nn.MaxPool2d(4), nn.Conv2d(1, 2, 5)),
        (1, 12, 12),
        ["'1' (Conv2d)", "5x5 kernel does not fit the 3x3 map"],
    ),
    "norm": (
        lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(8)),
        (1, 8, 8),
        ["'1' (BatchNorm2d)", "8 channels and got 4"],
    ),
    "flattened": (
        lambda: nn.Sequential(nn.Flatten(), nn.Conv2d(1, 4, 3)),
        (1, 8, 8),
        ["'1' (Conv2d)", "flattened too early"],
    ),
    "dtype": (lambda: nn.Embedding(10, 4), (3,), ["dtype=torch.long"]),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_failed_forward_names_the_layer_and_what_to_try(case: str) -> None:
    build, size, words = FAILURES[case]
    with pytest.raises(ModelForwardError) as caught:
        summary(build(), size)
    for word in words:
        assert word in str(caught.value)


def test_the_summary_up_to_the_failing_layer_is_kept() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(100, 10), nn.ReLU()
    )
    with pytest.raises(ForwardError) as caught:
        summary(model, (1, 28, 28))
    partial = caught.value.summary
    assert [row.type for row in partial.rows] == [
        "Sequential",
        "Conv2d",
        "ReLU",
        "Flatten",
        "Linear",
    ]
    assert partial.rows[3].output_size == (1352,)
    assert partial.rows[4].output_size is None
    assert "Linear-4" in str(partial)


def raising() -> nn.Module:
    class Raises(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise KeyError("mine")

    return Raises()


def returns_none() -> nn.Module:
    class Silent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 3)

        def forward(self, x: Tensor) -> None:
            self.conv(x)

    return Silent()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("not a model", (1, 28, 28)), "str"),
        ((nn.Linear, (1, 28, 28)), "Linear()"),
        ((nn.Conv2d(1, 2, 3), (28, 28, 1, 1)), "got 1x28x28x1x1"),
        ((nn.ReLU(), (1, 0, 28)), r"\(1, 0, 28\)"),
        ((nn.ReLU(), (1, -3, 28)), r"\(1, -3, 28\)"),
        ((nn.ReLU(), "1x28x28"), "1x28x28"),
        ((raising(), (1, 28, 28)), "KeyError: 'mine'"),
    ],
)
def test_bad_input_is_a_clear_error(arguments: tuple[object, ...], words: str) -> None:
    with pytest.raises(EvaError, match=words):
        summary(*arguments)


def test_unknown_columns_formats_and_depths_are_clear_errors() -> None:
    with pytest.raises(InputSizeError, match="'fields'"):
        summary(nn.ReLU(), (1, 4, 4), columns=["fields"])
    with pytest.raises(InputSizeError, match="'pdf'"):
        summary(nn.ReLU(), (1, 4, 4)).render("pdf")
    with pytest.raises(InputSizeError, match="depth of -1"):
        summary(nn.ReLU(), (1, 4, 4), depth=-1)


def test_a_model_that_returns_none_has_rows_without_output() -> None:
    found = summary(returns_none(), (1, 8, 8))
    assert [row.output_size for row in found.rows] == [None, (2, 6, 6)]


@pytest.mark.filterwarnings("ignore:.*torch.jit:")
def test_scripted_compiled_and_half_precision_models_work() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU())
    assert summary(torch.compile(model), (1, 8, 8)).total_params == 20
    assert summary(model.half(), (1, 8, 8)).params_bytes == 40
    scripted = torch.jit.script(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU()))
    assert summary(scripted, (1, 8, 8)).total_params == 20


def test_a_model_on_another_device_stays_there() -> None:
    model = nn.Conv2d(1, 2, 3, device="meta")
    assert summary(model, (1, 8, 8)).total_params == 20
    assert model.weight.device.type == "meta"
    model.register_buffer("table", torch.empty(3, 3, device="meta"))
    assert summary(model, (1, 8, 8)).total_params == 20


def test_sizes_are_read_as_people_write_them() -> None:
    assert parse_size("1x28x28") == (1, 28, 28)
    assert parse_size("3X224×224") == (3, 224, 224)
    assert format_size((3, 4)) == "3x4"
    for text in ("", "1x", "axb", "1x-2", "1x0x2", "1.5x2"):
        with pytest.raises(InputSizeError):
            parse_size(text)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"input_data": torch.rand(1, 1, 8, 8)}, "inputs="),
        ({"col_names": ("kernel_size",)}, "columns="),
        ({"verbose": 0}, "print"),
        ({"device": "cuda"}, "Nothing is moved"),
        ({"dtypes": [torch.long]}, "dtype="),
        ({"batch_dim": 0}, "batch in front"),
        ({"row_settings": ["depth"]}, "render"),
        ({"x": torch.rand(1, 1, 8, 8)}, "inputs={"),
        ({"mode": "same"}, "'eval' and 'train'"),
    ],
)
def test_keywords_of_other_libraries_say_what_ours_are(given: dict[str, object], says: str) -> None:
    with pytest.raises(InputSizeError) as caught:
        summary(nn.Conv2d(1, 2, 3), (1, 8, 8), **given)
    assert says in str(caught.value)


def test_every_column_has_its_title_in_the_table() -> None:
    every = list(Column)
    table = summary(nn.Conv2d(1, 8, 3), (1, 28, 28), columns=every).render("markdown")
    titles = [cell.strip() for cell in table.splitlines()[0].strip("| ").split("|")]
    assert titles == [
        "layer", "Input", "Output", "Params", "Params %", "Trainable", "Mult-adds", "RF", "Jump",
        "RF padding", "Density", "Status", "Kernel", "Stride", "Padding", "Groups",
    ]  # fmt: skip
