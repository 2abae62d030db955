"""Two runs side by side say in what they differ, and no more."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from eva.cli import app
from eva.comparison import Comparison
from eva.recipe import SGD, Recipe, Rotation, Step
from tests.test_record import make_run

OTHER = Recipe(
    epochs=3,
    optimizer=SGD(lr=0.5),
    schedule=Step(every=2, gamma=0.1),
    augment=(Rotation(degrees=7),),
)


def compared(**changes: object) -> Comparison:
    return Comparison(first=make_run(99.0, 99.5), second=make_run(99.2).model_copy(update=changes))


def test_only_what_differs_in_the_recipe_is_listed() -> None:
    assert compared().recipe() == {}
    found = compared(recipe=OTHER).recipe()
    first = make_run().recipe
    assert found["epochs"] == (str(first.epochs), "3")
    assert found["optimizer.lr"] == (str(first.optimizer.lr), "0.5")
    assert found["schedule"][1] == repr(OTHER.schedule)
    assert "augment" not in found and "batch_size" not in found


def test_the_network_is_compared_by_what_it_runs() -> None:
    first = make_run(99.0).model_copy(
        update={"network": "a", "layers": ("0: Conv2d(1, 4)", "1: ReLU()")}
    )
    for update, words in (
        ({"network": "a"}, "the same network"),
        ({"network": "b", "layers": ("0: Conv2d(1, 8)", "1: ReLU()")}, "another network"),
        ({"network": "", "layers": ()}, "don't say"),
        ({"network": "", "layers": (), "parameters": 1}, "another network"),
    ):
        both = Comparison(first=first, second=first.model_copy(update=update))
        assert words in both.network()
    changed = first.model_copy(update={"layers": ("0: Conv2d(1, 8)", "1: ReLU()")})
    assert Comparison(first=first, second=changed).layers() == [
        "- 0: Conv2d(1, 4)",
        "+ 0: Conv2d(1, 8)",
    ]


def test_the_text_holds_both_verdicts_and_curves_in_80_columns() -> None:
    both = compared(
        recipe=OTHER, submission="a/very/long/path/" * 9 + "net.py", layers=("x" * 120,)
    )
    text = both.to_text()
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "+0.20" in text  # 99.2 - 99.0, of the epoch that both have
    assert text.count("reached") == 2 and "another seed" in text
    assert "&" not in both._repr_html_().replace("&#x27;", "").replace("&lt;", "").replace(
        "&gt;", ""
    )
    assert (
        Comparison(first=make_run(), second=make_run()).to_text().count("No epoch was trained.")
        == 2
    )


def test_the_command_takes_records_and_folders_and_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_run(99.0).save("a/record.json")
    make_run(99.5).save("b.json")
    result = CliRunner().invoke(app, ["compare", "a", "b.json", "--plot", "pictures/both.png"])
    assert result.exit_code == 0, result.output
    assert "+0.50" in result.output and Path("pictures/both.png").stat().st_size > 1000
    for command, words in (
        (["compare", "a", "nowhere"], "can't be read"),
        (["compare", "a", "b.json", "--plot", "x.nothing"], "can't be written"),
    ):
        result = CliRunner().invoke(app, command)
        assert result.exit_code == 2 and words in result.output
