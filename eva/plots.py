"""Figures from records and models. Each function returns a Figure and shows nothing."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from torch import Tensor, nn

from eva import rf
from eva.data import Dataset, normalize, to_float
from eva.errors import EvaError
from eva.record import TARGET, Run, counted
from eva.rf.gradients.probe import effective_receptive_field
from eva.training.device import device_of
from eva.training.evaluation import evaluate
from eva.training.lr_finder import LRFinding

_TITLES = 3  # runs that a title of curves names; the legend names all
COLORS = ("#2f6fb7", "#d1495b", "#3a8f5c", "#8a5fb0", "#c98a1b", "#4b5563")


class PlotError(EvaError):
    """There is nothing to draw, or the layer does not exist."""


def curves(runs: Sequence[Run], target: float | None = TARGET) -> Figure:
    """Accuracy and loss over the epochs, several runs overlaid; training dashed."""
    _require_rows(runs)
    figure, (left, right) = _subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for index, run in enumerate(runs):
        color, label = COLORS[index % len(COLORS)], _label(run, runs)
        epochs = [row.epoch + 1 for row in run.rows]
        left.plot(epochs, [r.test_accuracy for r in run.rows], color=color, label=f"{label} test")
        left.plot(
            epochs,
            [r.train_accuracy for r in run.rows],
            color=color,
            linestyle="--",
            alpha=0.6,
            label=f"{label} train",
        )
        right.plot(epochs, [r.test_loss for r in run.rows], color=color)
        right.plot(epochs, [r.train_loss for r in run.rows], color=color, linestyle="--", alpha=0.6)
    everything = [r.test_accuracy for run in runs for r in run.rows]
    if target is not None:
        left.axhline(target, color="black", linewidth=0.8, linestyle=":")
        left.annotate(
            f"{target} %", (0.005, target), xycoords=("axes fraction", "data"), va="bottom"
        )
        everything.append(target)
    # The first epochs would squeeze what matters; their low values run out of the picture.
    low, high = np.quantile(everything, 0.1), max(everything)
    left.set_ylim(low - 0.1 * (high - low), min(high + 0.1 * (high - low), 100))
    right.set_yscale("log")
    for axes, title in ((left, "accuracy, %"), (right, "loss")):
        _style(axes, "epoch", title)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.legend(loc="lower right", fontsize="small")
    figure.suptitle("\n".join(_title(run) for run in runs[:_TITLES]), fontsize="medium")
    return figure


def learning_rate(runs: Sequence[Run]) -> Figure:
    """Learning rate at every step, from each run's recipe."""
    _require_rows(runs)
    figure, axes = _subplots(figsize=(6, 3.2), layout="constrained")
    for index, run in enumerate(runs):
        steps = -(-run.data.train_size // run.recipe.batch_size)
        rates = [run.recipe.lr(step, steps) for step in range(run.recipe.epochs * steps)]
        axes.plot(
            np.arange(len(rates)) / steps,
            rates,
            color=COLORS[index % len(COLORS)],
            label=_label(run, runs),
        )
    _style(axes, "epoch", "learning rate")
    axes.legend(fontsize="small")
    return figure


def confusion(run: Run) -> Figure:
    """Test images by true and predicted class after the last epoch; mistakes are colored."""
    _require_rows([run])
    counts = np.array(run.confusion)
    mistakes = counts * (1 - np.eye(len(counts), dtype=int))
    figure, axes = _subplots(figsize=(5.2, 5), layout="constrained")
    axes.imshow(mistakes, cmap="Reds", vmin=0, vmax=max(1, mistakes.max() * 1.5))
    for true, predicted in np.ndindex(*counts.shape):
        if counts[true, predicted]:
            weight = "normal" if true == predicted else "bold"
            axes.text(
                predicted,
                true,
                str(counts[true, predicted]),
                ha="center",
                va="center",
                weight=weight,
                fontsize="small",
            )
    axes.set_xticks(range(len(counts)))
    axes.set_yticks(range(len(counts)))
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    wrong = f"{counted(mistakes.sum(), 'mistake')} in {counts.sum():,} test images"
    axes.set_title(f"{_title(run, 60)}\n{wrong}", fontsize="small")
    return figure


def misclassified(
    model: nn.Module, data: Dataset, limit: int = 30, run: Run | None = None
) -> Figure:
    """Gallery of wrongly classified test images, the most confident mistakes first."""
    result = evaluate(model, data.test_images, data.test_labels, data.normalize)
    labels = data.test_labels.cpu()
    wrong = (result.predicted != labels).nonzero().flatten()
    wrong = wrong[result.confidence[wrong].argsort(descending=True)]
    shown = wrong[:limit].tolist()
    columns, pitch = 6, 1.35  # an image is 1 wide and high; its words take the rest of a row
    rows = max(1, -(-len(shown) // columns))
    # One pair of axes for all: thirty pairs take several times as long to lay out and draw.
    figure, axes = _subplots(
        figsize=(1.5 * columns, 1.5 * pitch * rows + 0.4), layout="constrained"
    )
    for place, index in enumerate(shown):
        left, top = 1.1 * (place % columns), pitch * (place // columns)
        image = data.test_images[index].cpu()
        pixels = (image[0] if len(image) == 1 else image.permute(1, 2, 0)).numpy()
        axes.imshow(pixels, cmap="gray_r", extent=(left, left + 1, top + 1, top))
        taken, sure = result.predicted[index], result.confidence[index]
        words = f"{labels[index]} taken for {taken}\n{sure:.0%} sure"
        axes.text(left + 0.5, top - 0.03, words, ha="center", va="bottom", fontsize="small")
    axes.set(xlim=(0, 1.1 * columns - 0.1), ylim=(pitch * rows - pitch + 1, 1 - pitch))
    axes.axis("off")
    mistakes = f"{len(shown)} of {counted(len(wrong), 'mistake')} on {data.name}"
    title = mistakes if run is None else f"{_title(run, 90)}\n{mistakes}"
    figure.suptitle(title, fontsize="medium")
    return figure


def kernels(model: nn.Module) -> Figure:
    """The kernels of the first convolution, each scaled to its largest weight."""
    first = next((m for m in model.modules() if isinstance(m, nn.Conv2d)), None)
    if first is None:
        raise PlotError(f"{type(model).__name__} has no Conv2d whose kernels could be drawn.")
    weights = first.weight.detach().float().cpu().mean(dim=1)  # (kernels, height, width)
    figure, grid = _grid(len(weights))
    for axes, weight in zip(grid, weights, strict=False):
        reach = weight.abs().max().item() or 1.0
        axes.imshow(weight.numpy(), cmap="RdBu_r", vmin=-reach, vmax=reach)
    figure.suptitle("first-layer kernels: red adds, blue takes away")
    return figure


@torch.no_grad()
def feature_maps(model: nn.Module, image: Tensor, layer: str) -> Figure:
    """What one layer makes of one image.

    Args:
        model: Any module that takes (1, 1, height, width).
        image: (1, height, width) uint8.
        layer: Name of a submodule whose output is (1, channels, height, width).

    Raises:
        PlotError: There is no such layer, or its output is no map.
    """
    modules = dict(model.named_modules())
    if layer not in modules:
        raise PlotError(
            f"no layer is called {layer!r}.", f"Layers: {', '.join(filter(None, modules))}."
        )
    seen: list[Tensor] = []
    handle = modules[layer].register_forward_hook(lambda _m, _i, output: seen.append(output))
    training = model.training
    device = device_of(model)
    try:
        model.eval()
        model(normalize(to_float(image[None].to(device))))
    finally:
        handle.remove()
        model.train(training)
    if not seen or seen[-1].ndim != 4:
        shape = tuple(seen[-1].shape) if seen else "nothing"
        raise PlotError(f"layer {layer!r} gives {shape}, not (1, channels, height, width).")
    maps = seen[-1][0].float().cpu()
    figure, grid = _grid(len(maps))
    for axes, values in zip(grid, maps, strict=False):
        axes.imshow(values.numpy(), cmap="viridis")
    figure.suptitle(f"{layer}: {len(maps)} maps of {maps.shape[1]}x{maps.shape[2]}")
    return figure


def receptive_field(
    model: nn.Module,
    images: Tensor,
    layer: str | None = None,
    unit: tuple[int, int] | None = None,
) -> Figure:
    """What one unit can see and what it does see of an image.

    Left, the first image with the box of the unit's theoretical field; right, the effective
    field over it: the mean size of the unit's gradient over all images.

    Args:
        model: A model, trained ones show most.
        images: (batch, 1, height, width) uint8; the gradient is averaged over them.
        layer: Name of the submodule whose unit is meant; the model's output by default.
        unit: (row, column) of that layer's map; the middle one by default.

    Raises:
        EvaError: There is no such layer or unit.

    References:
        Luo, Li, Urtasun, Zemel: Understanding the Effective Receptive Field in Deep Convolutional
        Neural Networks, 2016.
    """
    field = rf.receptive_field(model, tuple(images.shape[1:]), layer=layer)
    counts = field.output_shape[2:]
    at = unit or tuple(count // 2 for count in counts)
    rows, columns = field.region(at)
    device = device_of(model)
    pixels = normalize(to_float(images.to(device)))
    heat = effective_receptive_field(model, pixels, layer, at).cpu().numpy()
    figure, (left, right) = _subplots(1, 2, figsize=(8.4, 4.5), layout="constrained")
    for axes in (left, right):
        axes.imshow(images[0, 0].cpu().numpy(), cmap="gray_r")
        box = Rectangle(
            (columns.start - 0.5, rows.start - 0.5),
            columns.stop - columns.start,
            rows.stop - rows.start,
            fill=False,
            edgecolor=COLORS[1],
            linewidth=2,
        )
        axes.add_patch(box)
        axes.set_xticks([])
        axes.set_yticks([])
    right.imshow(heat, cmap="magma", alpha=0.75)
    size = "x".join(map(str, field.size))
    left.set_title(f"theoretical field: {size} ({field.status})", fontsize="medium")
    right.set_title(f"effective field over {len(images)} images", fontsize="medium")
    where = f"{layer or 'output'}, unit {', '.join(map(str, at)) or 'of the whole image'}"
    figure.suptitle(where, fontsize="medium")
    return figure


def lr_finding(finding: LRFinding, title: str) -> Figure:
    """Smoothed loss over the learning rate, with the steepest point and the safe rate marked."""
    figure, axes = _subplots(figsize=(6.4, 4.2), layout="constrained")
    axes.plot(finding.lrs, finding.losses, color=COLORS[0])
    for rate, color, label in (
        (finding.suggestion, COLORS[1], f"falls fastest: {finding.suggestion:.2g}"),
        (finding.safe, COLORS[2], f"safe: {finding.safe:.2g}"),
    ):
        axes.axvline(rate, color=color, linestyle="--", label=label)
    axes.set(xscale="log", xlabel="learning rate", ylabel="training loss, smoothed", title=title)
    axes.legend()
    return figure


def save_lr_finding(finding: LRFinding, title: str, path: Path) -> Path:
    """Write the picture of a learning-rate test; return its path.

    Raises:
        PlotError: It can't be written there.
    """
    return _save_one(lr_finding(finding, title), path)


def save_curves(runs: Sequence[Run], path: Path) -> Path:
    """Write the curves of some runs as one picture; return its path.

    Raises:
        PlotError: There is nothing to draw, or it can't be written there.
    """
    return _save_one(curves(runs), path)


def _save_one(figure: Figure, path: Path) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=120)
    except (OSError, ValueError) as error:  # ValueError: a format that matplotlib does not know
        why = (error.strerror if isinstance(error, OSError) else None) or error
        raise PlotError(f"{path} can't be written: {why}.") from error
    finally:
        plt.close(figure)
    return path


def save_training_plots(run: Run, model: nn.Module, data: Dataset, folder: Path) -> list[Path]:
    """Write curves, confusion matrix and mistakes of a run; return the paths."""
    device = device_of(model)
    figures = {
        "curves": curves([run]),
        "confusion": confusion(run),
        "misclassified": misclassified(model, data.to(device), run=run),
    }
    return _save(figures, folder)


def save_record_plots(runs: Sequence[Run], folder: Path) -> list[Path]:
    """Write all that records alone can show: curves, learning rates, confusion matrices."""
    figures = {"curves": curves(runs), "learning_rate": learning_rate(runs)}
    for run in runs:
        figures[f"confusion-{_label(run, runs).replace(' ', '-')}"] = confusion(run)
    return _save(figures, folder)


def _subplots(*shape: int, **settings: Any) -> tuple[Figure, Any]:
    """``plt.subplots``, without the windows that can't be opened here.

    MPLBACKEND may be another program's, which sets it for all that it starts.
    """
    try:
        return plt.subplots(*shape, **settings)
    except ImportError:
        plt.switch_backend("agg")
        return plt.subplots(*shape, **settings)


def _save(figures: dict[str, Figure], folder: Path) -> list[Path]:
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, figure in figures.items():
            paths.append(folder / f"{name}.png")
            figure.savefig(paths[-1], dpi=120)
    except OSError as error:
        raise PlotError(
            f"{paths[-1] if paths else folder} can't be written: {error.strerror or error}.",
            "The records are kept: make room, then `eva plot RECORD --out FOLDER` draws them.",
        ) from error
    finally:
        for figure in figures.values():
            plt.close(figure)
    return paths


def _grid(count: int, columns: int = 8) -> tuple[Figure, list[Axes]]:
    rows = -(-count // columns)
    figure, grid = _subplots(
        rows,
        columns,
        figsize=(1.1 * columns, 1.15 * rows + 0.5),
        layout="constrained",
        squeeze=False,
    )
    for axes in grid.flat:
        axes.axis("off")
    return figure, list(grid.flat)


def _label(run: Run, runs: Sequence[Run]) -> str:
    place = run.submission.removesuffix(".py").removesuffix(".ipynb")
    name = place.replace("\\", "/").rstrip("/").replace("/", ".").rpartition(".")[2]
    same = [other for other in runs if other.submission == run.submission]
    return name if len(same) == 1 else f"{name} seed {run.seed}"


def _title(run: Run, width: int = 110) -> str:
    """Which run, its data and the verdict, in lines of so many characters."""
    text = f"{_label(run, [run])}, seed {run.seed}. {run.verdict()}"
    return textwrap.fill(text, width)


def _style(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _require_rows(runs: Sequence[Run]) -> None:
    if not runs or not all(run.rows for run in runs):
        raise PlotError("there is nothing to draw: give at least one record with an epoch in it.")
