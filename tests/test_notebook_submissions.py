"""A notebook is a submission: its marked cells are the file, and errors name the cell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from eva.cli import app
from eva.errors import SubmissionError
from eva.notebook import parse_notebook
from eva.submission import import_target, load_model, load_submission

IMPORTS = "#| export\nfrom torch import nn\nfrom eva.blocks import conv_block, gap_head\n"
NET = """#| export
def build_model():
    return nn.Sequential(conv_block(1, 8), nn.MaxPool2d(2), gap_head(8))
"""
RECIPE = "#| export\nfrom eva.recipe import Recipe\nRECIPE = Recipe(epochs=2)\n"
TRIED = "%matplotlib inline\n!pip install eva-course\nx = build_model(); x?\n"


def code(source: Any, **metadata: Any) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "metadata": metadata,
        "source": source,
        "outputs": [],
        "execution_count": None,
    }


def text(source: str = "# Title") -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def write(path: Path, *cells: dict[str, Any], **metadata: Any) -> str:
    value = {"cells": list(cells), "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(value))
    return str(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "net.ipynb"


def test_the_marked_cells_are_the_submission(path: Path) -> None:
    target = write(path, text(), code(TRIED), code(IMPORTS), code(NET), code(RECIPE), code("1/0"))
    loaded = load_submission(target)
    assert (loaded.slug, loaded.recipe.epochs) == ("net", 2)
    assert sum(p.numel() for p in loaded.build().parameters()) == 168
    assert load_model(f"{target}:build_model") is not None


@pytest.mark.parametrize(
    "mark",
    [
        "#| export",
        "#|export",
        "# | export",
        "#| exports",
        "#@title Network { run: 'auto' }\n#| export",
        "\n# the network\n#| export",
        "#| hide\n#| export",
    ],
)
def test_marks_as_people_and_formatters_write_them(path: Path, mark: str) -> None:
    net = code(NET.replace("#| export", mark))
    assert load_submission(write(path, code(IMPORTS), net, code(RECIPE))).build() is not None


def test_a_tag_marks_a_cell_too(path: Path) -> None:
    cells = [
        code(source.replace("#| export\n", ""), tags=["Submission"]) for source in (NET, RECIPE)
    ]
    assert load_submission(write(path, code(IMPORTS), *cells)).build() is not None


def test_notebooks_of_colab_kaggle_and_format_3_are_read(tmp_path: Path) -> None:
    colab = tmp_path / "colab.ipynb"
    lines = [line + "\n" for line in NET.splitlines()]
    write(
        colab,
        code(IMPORTS, id="x1", colab={"base_uri": "https://localhost:8080/"}, outputId="1"),
        code(lines, cellView="form"),
        code(RECIPE),
        colab={"provenance": [], "gpuType": "T4"},
        kernelspec={"name": "python3", "display_name": "Python 3"},
        language_info={"name": "python"},
        accelerator="GPU",
    )
    kaggle = tmp_path / "kaggle.ipynb"
    cells = [code(source, _uuid="8f2839f25d086af7", trusted=True) for source in (IMPORTS, NET)]
    value = {
        "metadata": {
            "kernelspec": {"language": "python", "display_name": "Python 3", "name": "python3"},
            "kaggle": {"accelerator": "gpu", "dataSources": []},
        },
        "nbformat_minor": 4,
        "nbformat": 4,
        "cells": [*cells, code(RECIPE)],
    }
    kaggle.write_bytes(b"\xef\xbb\xbf" + json.dumps(value).encode())
    old = tmp_path / "old.ipynb"
    three = [
        {"cell_type": "code", "input": source, "language": "python", "outputs": []}
        for source in (IMPORTS, lines, RECIPE)
    ]
    old.write_text(json.dumps({"nbformat": 3, "metadata": {}, "worksheets": [{"cells": three}]}))
    for place in (colab, kaggle, old):
        assert load_submission(place).build() is not None


def test_a_feature_of_the_future_holds_in_later_cells(path: Path) -> None:
    first = "#| export\nfrom __future__ import annotations\n"
    later = f"{NET}\ndef unused(x: NotThere) -> None: ...\n"
    target = write(path, code(first), code(IMPORTS), code(later), code(RECIPE))
    assert load_submission(target).build() is not None


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ([code(NET.removeprefix("#| export\n"))], ["no cell that is marked", "`#| export`", "tag"]),
        ([], ["no cell that is marked"]),
        ([text(), code("#| export\n!pip install x\n")], ["cell 2, line 2", "`!pip install x`"]),
        ([code(f"#| export\n%matplotlib inline\n{NET}")], ["`%matplotlib inline`", "not Python"]),
        ([code(f"%%time\n{NET}")], ["cell 1, line 1", "`%%time`"]),
        ([code("#| export\nfiles = !ls\n")], ["cell 1, line 2", "`files = !ls`"]),
        ([code("#| export\npip install torch\n")], ["`pip install torch`"]),
        ([code("#| export\nprint?\n")], ["`print?`"]),
        ([code("import math\n#| export\nx = 1")], ["cell 1", "on line 2", "first line"]),
        ([text(), text(), code("#| export\nx = 1\ndef f(:\n")], ["cell 3", "line 3", "def f(:"]),
        ([text(), code("#| export\nx = 1\n1 / 0\n")], ["cell 2", "line 3", "1 / 0"]),
        ([code(IMPORTS.removeprefix("#| export\n")), code("#| export\nnn.ReLU()")],
         ["'nn'", "Cell 1 has nn and is not marked"]),
        ([code("#| export\ndisplay(1)")], ["display", "in a notebook alone"]),
        ([code(IMPORTS), code(NET), code(RECIPE.removeprefix("#| export\n"))],
         ["RECIPE", "Cell 3 has RECIPE and is not marked"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_cell(
    path: Path, cells: list[dict[str, Any]], words: list[str]
) -> None:
    with pytest.raises(SubmissionError) as caught:
        load_submission(write(path, *cells))
    for word in words:
        assert word in str(caught.value)


def test_a_network_that_needs_an_unmarked_cell_is_told_which(path: Path) -> None:
    target = write(
        path, code("WIDTH = 8"), code(IMPORTS), code(NET.replace("(8)", "(WIDTH)")), code(RECIPE)
    )
    with pytest.raises(SubmissionError, match="Cell 1 has WIDTH and is not marked") as caught:
        load_submission(target).build()
    assert 'cell 3", line 3' in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["is empty"]),
        (b"\n  \n", ["is empty"]),
        (b'{"cells": [{"cell_type": "code", "sour', ["cut off"]),
        (b"<!DOCTYPE html><html></html>", ["web page", "Raw"]),
        (b"from torch import nn\n", ["no JSON"]),
        (b"[" * 100_000, ["no JSON"]),
        (b"\x89PNG\xff\xfe\x00", ["no JSON"]),
        (b"version https://git-lfs.github.com/spec/v1\n", ["Git LFS"]),
        (b'{\n<<<<<<< HEAD\n"cells": []\n=======\n>>>>>>> b\n}', ["git merge"]),
        (b"[]", ["no list of cells"]),
        (b"3", ["no list of cells"]),
        (b'{"cells": 3}', ["no list of cells"]),
        (b'{"cells": [{"cell_type": "code"}]}', ["no list of cells"]),
        (b'{"cells": [{"cell_type": "code", "source": [1]}]}', ["no list of cells"]),
        (b'{"cells": [], "metadata": {"language_info": {"name": "R"}}}', ["in R, not in Python"]),
    ],
)  # fmt: skip
def test_a_file_that_is_no_notebook_is_a_clear_error(content: bytes, words: list[str]) -> None:
    with pytest.raises(SubmissionError) as caught:
        parse_notebook(content, "folder/net.ipynb")
    assert str(caught.value).startswith("net.ipynb")
    for word in words:
        assert word in str(caught.value)


def test_code_without_outputs_is_the_same_submission(path: Path) -> None:
    cells = [text(), code(TRIED), code(IMPORTS), code(NET), code(RECIPE)]
    cells[1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "x" * 100_000}]
    write(path, *cells)
    whole = parse_notebook(path.read_bytes(), "net.ipynb")
    small = whole.to_bytes()
    assert len(small) < 2000
    assert parse_notebook(small, "net.ipynb") == whole


def test_a_notebook_has_helpers_and_a_folder_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "layers.py").write_text("from eva.blocks import conv_block, gap_head\n")
    imports = "#| export\nfrom torch import nn\nfrom layers import *\n"
    write(tmp_path / "submission.ipynb", code(imports), code(NET), code(RECIPE))
    assert load_submission(tmp_path).slug == tmp_path.name
    assert import_target(tmp_path).conv_block is not None


def test_eva_check_takes_a_notebook(path: Path) -> None:
    result = CliRunner().invoke(app, ["check", write(path, code(IMPORTS), code(NET), code(RECIPE))])
    assert (result.exit_code, "7/10" in result.output) == (0, True)
    broken = NET.replace("gap_head(8)", "nn.Linear(8, 10)")
    result = CliRunner().invoke(
        app, ["check", write(path, code(IMPORTS), code(broken), code(RECIPE))]
    )
    assert result.exit_code == 1
    assert "Traceback" not in result.output
