"""Run a network as training and evaluation will run it, and say what is wrong with its scores."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eva.data import Dataset, Images, to_float
from eva.errors import EvaError, ForwardError, TrainingError, message_line
from eva.module_state import unchanged
from eva.recipe import Recipe
from eva.seeds import seeded
from eva.training.evaluation import BATCH, GPU_BATCH

_DRAWN = 10  # images
_BACKGROUND, _INK = -0.4242, 2.8215  # of a normalized digit of MNIST
_ALONE = 20  # images that are asked about one by one
LARGEST_BATCH = 512  # images that are really run; larger batches run with shapes alone


def batch_sizes(recipe: Recipe | None, images: Images, *, training: bool) -> tuple[int, ...]:
    """Sizes of the batches that a network will really meet.

    In training they are the recipe's and what remains at the end of an epoch. In evaluation they
    are one image alone, two, and those of the test on a CPU and on a GPU.

    Args:
        recipe: Theirs; without one, batches of the default size.
        images: What it is trained on.
        training: In train mode, else in eval mode.
    """
    if not training:
        return (1, 2, BATCH, GPU_BATCH)
    batch = min((recipe or Recipe()).batch_size, images.train)
    rest = images.train % batch
    return (batch, rest) if rest else (batch,)


def try_out(module: nn.Module, recipe: Recipe | None, images: Images) -> str | None:
    """What is wrong with the scores of the first batch that has something wrong; None if nothing.

    Args:
        module: Runs in both modes, and is left as it was.
        recipe: Says the size of the batches.
        images: Noise of their size is shown.

    Raises:
        TrialError: The module raised; its cause is what was raised.
    """
    with unchanged(module):
        for training in (False, True):
            module.train(training)
            sizes = batch_sizes(recipe, images, training=training)
            for size in dict.fromkeys(
                min(size, LARGEST_BATCH) for size in sizes if size != GPU_BATCH
            ):
                place = f"a batch of {size} in {'train' if training else 'eval'} mode"
                generator = torch.Generator().manual_seed(size)
                batch = torch.randn((size, *images.size), generator=generator)
                try:
                    scores = scores_of(module, batch)
                except (Exception, SystemExit) as error:
                    raise TrialError(f"{place} raised {first_line(error)}") from error
                problem = _problem(scores, (size, *images.size), images.classes, place)
                if problem is not None:
                    return problem
    return None


class TrialError(Exception):
    """The network raised; the text says at which batch."""


def shape_problem(scores: Tensor, shape: tuple[int, ...], classes: int, place: str) -> str | None:
    """Say that scores have another shape than (batch, classes)."""
    expected = (shape[0], classes)
    found = tuple(scores.shape)
    if found == expected:
        return None
    problem = (
        f"{show(shape)} images should give {show(expected)} scores, {place} gives {show(found)}."
    )
    if shape[0] == 1 and found == expected[1:]:
        problem += (
            "\n  A squeeze without an axis drops the batch, too, where it is 1: use .flatten(1), "
            "or name the axes as in .squeeze((2, 3))."
        )
    return problem


def _problem(scores: object, shape: tuple[int, ...], classes: int, place: str) -> str | None:
    if not isinstance(scores, Tensor):
        return f"{place} gives a {type(scores).__name__}, not one tensor of scores."
    problem = shape_problem(scores, shape, classes, place)
    if problem is not None:
        return problem
    if not scores.is_floating_point():
        return f"scores are floats, {place} gives {scores.dtype}."
    bad = int((~scores.isfinite()).sum())
    if bad:
        return f"{bad:,} of the {scores.numel():,} scores of {place} are NaN or infinite."
    return None


def memory_problem(module: nn.Module, images: Tensor) -> str | None:
    """How the scores of an image depend on more than the image; None if they do not.

    Args:
        module: A trained network, left as it was.
        images: (n, channels, height, width) normalized, real ones: what noise does not set off, a
            digit may.
    """
    alone = len(images[:_ALONE])
    with unchanged(module):
        module.eval()
        before = [b.detach().clone() for b in nn.Module.buffers(module)]
        together = scores_of(module, images)
        others = {
            "are other ones in another order": scores_of(module, images.flip(0)).flip(0),
            "are other ones when they are asked for again": scores_of(module, images),
            "change with the other images of the batch": torch.cat(
                [scores_of(module, image) for image in torch.split(images[:_ALONE], 1)]
            ),
        }
        after = list(nn.Module.buffers(module))
    for how, scores in others.items():
        expected = together if len(scores) > alone else together[:alone]
        if not close(expected, scores, rtol=1e-3):
            return f"the scores of test images {how}."
    if any(
        not torch.equal(b.nan_to_num(), a.nan_to_num()) for b, a in zip(before, after, strict=True)
    ):
        return "evaluation changes what the network stores."
    return None


def sample(data: Dataset) -> Tensor:
    """As many test images as one batch of evaluation has, as :func:`memory_problem` wants them."""
    return data.normalize(to_float(data.test_images[:BATCH]))


def drawn_digits(input_size: tuple[int, int, int]) -> Tensor:
    """Strokes on an empty background, with the numbers that normalized digits have."""
    generator = torch.Generator().manual_seed(7)
    channels, height, width = input_size
    steps = torch.randn(_DRAWN, channels, 40, 2, generator=generator).cumsum(2) * 0.9
    points = steps - steps.mean(2, keepdim=True)
    ink = torch.zeros(_DRAWN, channels, height, width)
    for image in range(_DRAWN):
        for plane in range(channels):
            y = (points[image, plane, :, 0] + height / 2).round().long().clamp(4, height - 5)
            x = (points[image, plane, :, 1] + width / 2).round().long().clamp(4, width - 5)
            ink[image, plane, y, x] = 1.0
    ink = F.max_pool2d(ink, 3, stride=1, padding=1)
    return _BACKGROUND + (_INK - _BACKGROUND) * ink


def close(one: Tensor | None, other: Tensor | None, rtol: float) -> bool:
    """Whether two tensors differ by less than ``rtol`` of the largest number in them."""
    if one is None or other is None or one.shape != other.shape or one.dtype != other.dtype:
        return False
    if not (one.is_floating_point() or one.is_complex()):
        return torch.equal(one, other)
    scale = float(one.nan_to_num().abs().max()) if one.numel() else 0.0
    return torch.allclose(one, other, rtol=rtol, atol=rtol * scale + 1e-8, equal_nan=True)


def scores_of(module: nn.Module, images: Tensor, seed: int = 0) -> Any:
    """What a module gives without gradients; its random draws repeat with the seed."""
    with seeded(torch.device("cpu"), seed), torch.no_grad():
        return module(images.clone())  # forward may write into them


def is_the_machines(error: Exception) -> bool:
    """Whether training might go well on another machine, or at another time."""
    if isinstance(error, ForwardError):  # the trainer's own trial of the network
        return False
    cause = error.__cause__ if isinstance(error, TrainingError) else error
    return isinstance(cause, (EvaError, MemoryError, OSError, torch.OutOfMemoryError)) or any(
        words in str(cause) for words in ("allocate memory", "CUDA error", "CUDA driver")
    )


def first_line(error: BaseException) -> str:
    """Kind of an error and the first line of what it says."""
    return f"{type(error).__name__}: {message_line(error)}"


def show(shape: tuple[int, ...]) -> str:
    """A shape as people write it."""
    return "(" + ", ".join(str(n) for n in shape) + ")"
