"""Figures hold what they claim to show."""

from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import torch
from torch import nn

from eva import plots
from eva.blocks import conv_block, gap_head
from eva.data import Dataset
from eva.record import Run
from eva.training.evaluation import confusion_matrix, evaluate
from tests.test_record import make_run


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(conv_block(1, 6), nn.MaxPool2d(2), gap_head(6))


def test_curves_overlay_runs_with_the_target_line() -> None:
    runs = [make_run(98.0, 99.0, 99.5), make_run(97.0, 98.0, 99.2).model_copy(update={"seed": 1})]
    left, right = plots.curves(runs).axes
    assert [line.get_label() for line in left.lines[:4]] == [
        "exp5 seed 3 test",
        "exp5 seed 3 train",
        "exp5 seed 1 test",
        "exp5 seed 1 train",
    ]
    assert list(left.lines[0].get_ydata()) == [98.0, 99.0, 99.5]
    assert left.lines[4].get_ydata()[0] == 99.4
    assert len(right.lines) == 4
    assert left.get_ylim()[0] < 99.2 < 99.5 < left.get_ylim()[1]


def test_learning_rate_has_a_value_a_step() -> None:
    (axes,) = plots.learning_rate([make_run(99.0)]).axes
    assert len(axes.lines[0].get_ydata()) == 15 * 469


def test_confusion_prints_every_count() -> None:
    (axes,) = plots.confusion(make_run(99.0)).axes
    assert sorted(text.get_text() for text in axes.texts) == ["1", "10", "9"]
    assert "exp5, seed 3. The last epoch reached 99.00 % on mnist" in axes.get_title()
    assert axes.get_title().endswith("1 mistake in 20 test images")


def test_misclassified_shows_mistakes_the_most_confident_first(
    model: nn.Module, tiny: Dataset
) -> None:
    figure = plots.misclassified(model, tiny, limit=6)
    result = evaluate(model, tiny.test_images, tiny.test_labels)
    wrong = result.predicted != tiny.test_labels
    surest = (result.confidence * wrong).argmax()
    label, predicted = tiny.test_labels[surest], result.predicted[surest]
    (axes,) = figure.axes
    assert axes.texts[0].get_text().startswith(f"{label} taken for {predicted}\n")
    assert len(axes.texts) == len(axes.images) == 6
    assert f"6 of {wrong.sum()} mistakes" in figure.get_suptitle()


def test_kernels_and_feature_maps_have_a_picture_a_channel(model: nn.Module, tiny: Dataset) -> None:
    assert sum(bool(a.images) for a in plots.kernels(model).axes) == 6
    figure = plots.feature_maps(model, tiny.test_images[0], "0.2")
    assert sum(bool(a.images) for a in figure.axes) == 6
    assert figure.get_suptitle() == "0.2: 6 maps of 26x26"
    assert model.training


def test_what_can_not_be_drawn_is_a_clear_error(model: nn.Module, tiny: Dataset) -> None:
    image = tiny.test_images[0]
    for draw, words in (
        (lambda: plots.curves([]), "nothing to draw"),
        (lambda: plots.curves([make_run()]), "nothing to draw"),
        (lambda: plots.kernels(nn.Linear(1, 1)), "no Conv2d"),
        (lambda: plots.feature_maps(model, image, "layer9"), "'layer9'"),
        (lambda: plots.feature_maps(model, image, "2.2"), r"\(1, 10\)"),
    ):
        with pytest.raises(plots.PlotError, match=words):
            draw()


def test_confusion_counts_true_rows_and_predicted_columns() -> None:
    counts = confusion_matrix(torch.tensor([0, 0, 1, 2]), torch.tensor([0, 1, 1, 0]), classes=3)
    assert counts == ((1, 1, 0), (0, 1, 0), (1, 0, 0))


def test_saved_pictures_are_files(tmp_path: Path) -> None:
    paths = plots.save_record_plots([make_run(98.0, 99.0)], tmp_path / "new")
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_titles_say_which_run_on_which_data_with_what_verdict(
    model: nn.Module, tiny: Dataset
) -> None:
    run = make_run(99.5, 99.5, 99.5, 99.5)
    figures = [plots.curves([run]), plots.misclassified(model, tiny, limit=1, run=run)]
    for title in (" ".join(figure.get_suptitle().split()) for figure in figures):
        assert "exp5, seed 3." in title
        assert "99.50 % on mnist: 99.40 % is held over the last 4 epochs." in title


def test_eva_plot_takes_the_folder_of_a_run_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from eva.cli import app

    record = Path(__file__).parents[1] / "docs" / "records" / "exp1" / "seed0.json"
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "record.json").write_bytes(record.read_bytes())
    drawn = []
    monkeypatch.setattr("eva.plots.save_record_plots", lambda runs, out: drawn.extend(runs) or [])
    given = ["plot", str(tmp_path / "run"), str(record), "--out", str(tmp_path / "pictures")]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 0, result.output
    assert drawn == [Run.load(record)] * 2
