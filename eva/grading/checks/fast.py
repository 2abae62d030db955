"""The six checks that need no training, from a captured submission to verdicts."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from eva.grading.checks.pooling import decide_pooling
from eva.grading.checks.verdict import Limits, Status, Verdict
from eva.grading.graph.capture import Captured, Mistake
from eva.grading.graph.counting import MAX_WORK, Count, count_stored
from eva.grading.graph.execution import jittered, observe
from eva.grading.graph.graph import Graph
from eva.grading.graph.student_trace import student_trace
from eva.recipe import Init
from eva.seeds import seeded

BATCH_SIZES = (1, 2, 128)


def run_fast_checks(captured: Captured, limits: Limits | None = None) -> list[Verdict]:
    """Run the checks of :data:`~eva.grading.checks.verdict.FAST_CHECKS`, in order.

    Args:
        captured: From :func:`eva.grading.graph.capture.capture`.
        limits: Of the assignment; those of mnist_8k by default.
    """
    limits = limits or Limits()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [
            _imports(captured),
            _shapes(captured, limits),
            *_parameters(captured, limits),
            _pooling(captured, limits),
            _recipe(captured, limits),
        ]


def _imports(captured: Captured) -> Verdict:
    mistake = captured.mistakes.get("imports")
    if mistake is not None:
        return _from_mistake("imports", "imports", mistake)
    kind = type(captured.model).__name__
    return _passed("imports", f"imports: build_model() gives a {kind}.", model=kind)


def _shapes(captured: Captured, limits: Limits) -> Verdict:
    if captured.model is None:
        return _skipped("shapes", "shapes", "there is no model")
    mistake = captured.mistakes.get("forward")
    if mistake is not None:
        return _from_mistake("shapes", "shapes", mistake)
    model = captured.model
    buffers = [(b, b.detach().clone()) for b in nn.Module.buffers(model)]
    try:
        for training in (True, False):
            for size in BATCH_SIZES:
                verdict = _one_shape(model, training, size, limits)
                if verdict is not None:
                    return verdict
        return _depends_on_images(model, captured.graph, limits)  # in eval mode by now
    finally:
        with torch.no_grad():  # the batches above were noise: forget their statistics
            for buffer, before in buffers:
                buffer.copy_(before)


def _one_shape(model: nn.Module, training: bool, size: int, limits: Limits) -> Verdict | None:
    """What is wrong with the scores of one batch; None if nothing is."""
    mode = "train" if training else "eval"
    place = f"a batch of {size} in {mode} mode"
    shape = (size, *limits.input_size)
    try:
        model.train(training)
        scores = _scores(model, torch.randn(shape, generator=torch.Generator().manual_seed(size)))
    except (Exception, SystemExit) as error:
        text = str(error).strip().splitlines()
        return _failed(
            "shapes",
            f"shapes: {place} raised {type(error).__name__}: {text[0] if text else ''}",
            trace=student_trace(error),
        )
    if not isinstance(scores, Tensor):
        return _failed(
            "shapes", f"shapes: {place} gives a {type(scores).__name__}, not one tensor of scores."
        )
    expected = (size, limits.classes)
    if tuple(scores.shape) != expected:
        return _failed(
            "shapes",
            f"shapes: {_show(shape)} images should give {_show(expected)} scores, "
            f"{place} gives {_show(tuple(scores.shape))}.",
            expected=list(expected),
            found=list(scores.shape),
        )
    if not scores.is_floating_point():
        return _failed("shapes", f"shapes: scores are floats, {place} gives {scores.dtype}.")
    bad = int((~scores.isfinite()).sum())
    if bad:
        return _failed(
            "shapes",
            f"shapes: {bad:,} of the {scores.numel():,} scores of {place} are NaN or infinite.",
            not_finite=bad,
        )
    return None


def _depends_on_images(model: nn.Module, graph: Graph | None, limits: Limits) -> Verdict:
    """Each image has scores of its own: the next image may, its neighbors may not change them."""
    images = torch.randn(8, *limits.input_size, generator=torch.Generator().manual_seed(3))
    together, alone = _scores(model, images), _scores(model, images[:1])
    if _constant(together):
        if graph is None:
            return _review("shapes", "shapes: the untrained scores are the same for every image.")
        tensors = jittered(graph, torch.Generator().manual_seed(4))
        if _constant(observe(graph.eval, tensors, images)[graph.eval.output]):
            return _failed(
                "shapes", "shapes: the scores are the same for every image; is the input used?"
            )
    if not torch.allclose(together[:1], alone, rtol=1e-3, atol=1e-4):
        return _review(
            "shapes",
            "shapes: in eval mode the scores of an image change with the other images of its "
            "batch.\n  Which layer mixes them?",
        )
    sizes = ", ".join(str(size) for size in BATCH_SIZES)
    return _passed("shapes", f"shapes: batches of {sizes} give (batch, {limits.classes}) scores.")


def _parameters(captured: Captured, limits: Limits) -> list[Verdict]:
    checks = list(zip(("under_10k", "under_8k"), limits.parameters, strict=True))
    titles = [(check, f"parameters under {limit:,}", limit) for check, limit in checks]
    if captured.graph is None:
        return [_without_graph(captured, check, title) for check, title, _ in titles]
    try:
        count = count_stored(captured.graph, limits.input_size)
    except Exception as error:  # any operation, given other images than it was traced with
        reason = f"the graph can't be run to count: {type(error).__name__}: {error}"
        return [_review(check, f"{title}: {reason}") for check, title, _ in titles]
    return [_parameter_check(count, check, title, limit) for check, title, limit in titles]


def _parameter_check(count: Count, check: str, title: str, limit: int) -> Verdict:
    largest = ", ".join(f"{name} ({numbers:,})" for name, numbers in count.layers[:3])
    details: dict[str, Any] = {
        "parameters": count.total,
        "largest": [[name, numbers] for name, numbers in count.layers[:3]],
        "unfolded": count.unfolded,
        "work": count.work,
    }
    if count.random is not None:
        return _failed(
            check,
            f"{title}: forward draws random numbers ({count.random}) in eval mode.\n"
            "  Weights that are drawn again at every call are weights that nobody can count.",
            **details,
        )
    if count.total >= limit:
        return _failed(
            check,
            f"{title}: your model has {count.total:,}.\n  The three largest: {largest}.",
            **details,
        )
    if count.unfolded >= limit:
        return _review(
            check,
            f"{title}: your model stores {count.total:,}, and forward unfolds them into "
            f"{count.unfolded:,} weights.\n  A person must say whether that is in the spirit.",
            **details,
        )
    if count.work > MAX_WORK:
        return _review(
            check,
            f"{title}: your model stores {count.total:,}, but an image takes {count.work:,} "
            f"multiplications and additions; {MAX_WORK:,} are enough for an honest network.",
            **details,
        )
    return _passed(check, f"{title}: your model has {count.total:,}.", **details)


def _pooling(captured: Captured, limits: Limits) -> Verdict:
    title = "global average pooling"
    if captured.graph is None:
        return _without_graph(captured, "pooling", title)
    try:
        found = decide_pooling(captured.graph, limits.input_size)
    except Exception as error:  # an operation that permuted or random numbers don't suit
        return _review("pooling", f"{title}: can't be decided: {type(error).__name__}: {error}")
    message = f"{title}: {found.reason}"
    if found.holds is None:
        return _review("pooling", message)
    if not found.holds:
        return _failed("pooling", message)
    return _passed("pooling", message, maps=list(found.maps))


def _recipe(captured: Captured, limits: Limits) -> Verdict:
    mistake = captured.mistakes.get("recipe")
    if mistake is not None:
        return _from_mistake("recipe", "recipe", mistake)
    recipe = captured.recipe
    if recipe is None:
        return _skipped("recipe", "recipe", "the file does not import")
    if recipe.epochs > limits.epochs:
        return _failed(
            "recipe",
            f"recipe: {recipe.epochs} epochs; at most {limits.epochs} are allowed.",
            epochs=recipe.epochs,
        )
    if captured.fixed and recipe.init is Init.DEFAULT:
        return _review(
            "recipe",
            f"recipe: {captured.fixed:,} weights start from the same numbers whatever the seed.\n"
            "  Were they trained before? Let PyTorch draw them, without a seed of your own.",
            fixed=captured.fixed,
        )
    return _passed(
        "recipe",
        f"recipe: {recipe.epochs} epochs, batches of {recipe.batch_size}, "
        f"{type(recipe.optimizer).__name__}.",
        epochs=recipe.epochs,
    )


def _without_graph(captured: Captured, check: str, title: str) -> Verdict:
    mistake = captured.mistakes.get("graph")
    if mistake is not None:
        return _from_mistake(check, title, mistake)
    why = "forward raised" if "forward" in captured.mistakes else "there is no model"
    return _skipped(check, title, why)


def _scores(model: nn.Module, images: Tensor) -> Any:
    with seeded(torch.device("cpu"), 0), torch.no_grad():
        return model(images)


def _constant(scores: Tensor) -> bool:
    spread = float((scores - scores[:1]).abs().max())
    return spread <= 1e-6 * float(scores.abs().max())


def _show(shape: tuple[int, ...]) -> str:
    return "(" + ", ".join(str(n) for n in shape) + ")"


def _from_mistake(check: str, title: str, mistake: Mistake) -> Verdict:
    status = Status.NEEDS_REVIEW if mistake.review else Status.FAILED
    return Verdict(
        check=check, status=status, message=f"{title}: {mistake.problem}", trace=mistake.trace
    )


def _passed(check: str, message: str, **details: object) -> Verdict:
    return _verdict(check, Status.PASSED, message, details)


def _failed(check: str, message: str, trace: str | None = None, **details: object) -> Verdict:
    return _verdict(check, Status.FAILED, message, details, trace)


def _review(check: str, message: str, **details: object) -> Verdict:
    return _verdict(check, Status.NEEDS_REVIEW, message, details)


def _skipped(check: str, title: str, why: str) -> Verdict:
    return _verdict(check, Status.SKIPPED, f"{title}: not looked at, as {why}.", {})


def _verdict(
    check: str, status: Status, message: str, details: dict[str, object], trace: str | None = None
) -> Verdict:
    return Verdict(check=check, status=status, message=message, details=details, trace=trace)  # type: ignore[arg-type]
