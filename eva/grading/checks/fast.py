"""The checks that need no training: questions to a candidate, answered on its graph."""

from __future__ import annotations

import math
import warnings
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import AfterValidator, Field
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

import eva.recipe
from eva.data import Images, normalize
from eva.data.augment import augment
from eva.errors import EvaError, RecipeError
from eva.grading.checks.allowlist import admitted
from eva.grading.checks.check import check, run_checks
from eva.grading.checks.pooling import decide_pooling
from eva.grading.checks.pooling_proof import prove_pooling
from eva.grading.checks.rubric import Assignment, load_assignment
from eva.grading.checks.verdict import Verdict
from eva.grading.graph.candidate import Candidate, Mistake
from eva.grading.graph.counting import MAX_WORK
from eva.grading.graph.execution import GraphModule, jittered, observe, steps
from eva.grading.graph.graph import Graph
from eva.grading.graph.helpers import memory_groups, overwritten, random_operation
from eva.grading.graph.information import INFORMATION_BUDGET, carried
from eva.grading.graph.trial import (
    LARGEST_BATCH,
    TrialError,
    batch_sizes,
    first_line,
    scores_of,
    shape_problem,
    try_out,
)
from eva.json_types import Json
from eva.recipe import Init, Recipe
from eva.record import counted
from eva.seeds import seeded
from eva.training.initialize import initialize
from eva.training.optimizer import make_optimizer, set_lr


def _offered(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in eva.recipe.__all__:
            raise ValueError(f"eva.recipe offers no {name!r}")
    return names


Names = Annotated[tuple[str, ...], Field(strict=False), AfterValidator(_offered)]
"""Names of classes of :mod:`eva.recipe`."""


def run_fast_checks(candidate: Candidate, assignment: Assignment | None = None) -> list[Verdict]:
    """Run the checks that need no training, in their order, after the same admission for all.

    Args:
        candidate: From :func:`eva.grading.graph.capture.capture`, or from a record.
        assignment: Whose checks they are; mnist_8k by default.
    """
    checks = (assignment or load_assignment("mnist_8k")).asked(trains=False).values()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        candidate = admitted(candidate)
        return list(run_checks(checks, candidate).values())


@check("imports")
def imports(candidate: Candidate) -> Verdict:
    """The file imports, and build_model() gives a module."""
    mistake = candidate.mistakes.get("imports")
    if mistake is not None:
        return _from_mistake("imports", mistake)
    kind = candidate.model
    return Verdict.passed(f"imports: build_model() gives a {kind}.", {"model": kind})


@check("shapes", needs=("imports",))
def shapes(candidate: Candidate) -> Verdict:
    """Batches of the sizes that are really used give (batch, classes) finite scores."""
    mistake = candidate.mistakes.get("forward")
    if mistake is not None:
        return _from_mistake("shapes", mistake)
    graph, images = candidate.graph, candidate.images
    if graph is None:
        reason = candidate.mistakes["graph"].problem
        return Verdict.review(f"shapes: can't be seen without a graph.\n{reason}")
    problem = _shape_at_every_size(graph, candidate.recipe, images)
    if problem is None:
        try:
            problem = try_out(GraphModule(graph), candidate.recipe, images)
        except TrialError as error:
            problem = str(error)
    if problem is not None:
        return Verdict.failed(f"shapes: {problem}")
    written = _written_in_evaluation(graph, images)
    if written is not None:
        return Verdict.failed(
            f"shapes: in eval mode forward changes {written}.\n"
            "  A network that is tested must stay as it was trained: let forward write only "
            "`if self.training:`."
        )
    return _depends_on_images(graph, candidate.recipe, images)


def _shape_at_every_size(graph: Graph, recipe: Recipe | None, images: Images) -> str | None:
    """What is wrong with the shape of a batch that is too large to be tried; shapes alone run."""
    for training, program in ((True, graph.train), (False, graph.eval)):
        for size in batch_sizes(recipe, images, training=training):
            if size <= LARGEST_BATCH:
                continue
            place = f"a batch of {size} in {'train' if training else 'eval'} mode"
            shape = (size, *images.size)
            with FakeTensorMode(), torch.no_grad():
                tensors = {
                    s.name: torch.empty(s.data.shape, dtype=s.data.dtype) for s in graph.stored
                }
                values = dict(tensors)
                try:
                    for node, parts in steps(program, tensors, torch.empty(shape)):
                        values |= dict(zip(filter(None, node.outputs), parts, strict=False))
                except Exception as error:  # whatever an operation says of shapes that don't fit
                    return f"{place} raised {first_line(error)}"
                scores = values.get(program.output)
                if isinstance(scores, Tensor):
                    problem = shape_problem(scores, shape, images.classes, place)
                    if problem is not None:
                        return problem
    return None


def _written_in_evaluation(graph: Graph, images: Images) -> str | None:
    """Name of a stored tensor that the eval program writes into; None if it writes into none."""
    tensors = {s.name: s.data for s in graph.stored}
    noise = torch.randn(2, *images.size, generator=torch.Generator().manual_seed(7))
    values = observe(graph.eval, tensors, noise)
    groups = memory_groups(values)
    for node in graph.eval.nodes:
        for name in overwritten(node):
            found = sorted(groups.get(name, {name}) & tensors.keys())
            if found:
                return found[0]
    moved = (
        n for n, t in tensors.items() if not torch.equal(t.nan_to_num(), values[n].nan_to_num())
    )
    return next(moved, None)


def _depends_on_images(graph: Graph, recipe: Recipe | None, images: Images) -> Verdict:
    """Each image has scores of its own: the next image may, its neighbors may not change them."""
    module = GraphModule(graph).eval()
    noise = torch.randn(8, *images.size, generator=torch.Generator().manual_seed(3))
    together, alone = scores_of(module, noise), scores_of(module, noise[:1])
    if _constant(together):
        tensors = jittered(graph, torch.Generator().manual_seed(4))
        if _constant(observe(graph.eval, tensors, noise)[graph.eval.output]):
            return Verdict.failed(
                "shapes: the scores are the same for every image; is the input used?"
            )
    if not torch.allclose(together[:1], alone, rtol=1e-3, atol=1e-4):
        return Verdict.review(
            "shapes: in eval mode the scores of an image change with the other images of its "
            "batch.\n  Which layer mixes them?"
        )
    mixes = prove_pooling(graph, images.size, training=False).mixes
    if mixes is not None:
        return Verdict.review(
            f"shapes: in eval mode {mixes}, so that the scores of an image may change with the "
            "other images of its batch."
        )
    train, test = (batch_sizes(recipe, images, training=mode) for mode in (True, False))
    return Verdict.passed(
        f"shapes: batches of {_listed(train)} in train mode and {_listed(test)} in eval mode give "
        f"(batch, {images.classes}) scores."
    )


@check("parameters", needs=("imports",))
def parameters(candidate: Candidate, *, below: Annotated[int, Field(ge=1)]) -> Verdict:
    """Fewer numbers than this are stored."""
    title = f"parameters under {below:,}"
    if candidate.stored is not None and candidate.stored >= below:
        return Verdict.failed(
            f"{title}: your model stores {candidate.stored:,}.", {"parameters": candidate.stored}
        )
    if candidate.graph is None:
        return without_graph(candidate, title)
    try:
        count = candidate.count
    except Exception as error:  # any operation, given other images than it was traced with
        return Verdict.review(f"{title}: the graph can't be run to count: {first_line(error)}")
    largest = ", ".join(f"{name} ({numbers:,})" for name, numbers in count.layers[:3])
    idle = "".join(
        f"\n  {numbers:,} parameters of `{name}` never ran, and are not counted."
        for name, numbers in candidate.idle[:3]
    )
    details: dict[str, Json] = {
        "parameters": count.total,
        "largest": [[name, numbers] for name, numbers in count.layers[:3]],
        "unfolded": count.unfolded,
        "work": count.work,
    }
    if count.random is not None:
        return Verdict.failed(f"{title}: {_random(count.random)}", details)
    if count.total >= below:
        return Verdict.failed(
            f"{title}: your model has {count.total:,}.\n  The three largest: {largest}.{idle}",
            details,
        )
    if count.unfolded >= below:
        return Verdict.review(
            f"{title}: your model stores {count.total:,}, and forward unfolds them into "
            f"{count.unfolded:,} weights.\n  A person must say whether that is in the spirit.",
            details,
        )
    if count.work > MAX_WORK:
        return Verdict.review(
            f"{title}: your model stores {count.total:,}, but an image takes {count.work:,} "
            f"multiplications and additions; {MAX_WORK:,} are enough for an honest network.",
            details,
        )
    return Verdict.passed(f"{title}: your model has {count.total:,}.{idle}", details)


def _random(operation: str) -> str:
    """Say what draws random numbers in eval mode, and what to do about it."""
    if "dropout" in operation or operation.startswith("scaled_dot"):
        return (
            f"forward leaves {operation} on in eval mode.\n"
            "  Add training=self.training: `F.dropout(x, 0.1, training=self.training)`."
        )
    return (
        f"forward draws random numbers ({operation}) in eval mode.\n"
        "  Noise belongs to training: draw it `if self.training:`. Weights that are drawn again at "
        "every call are weights that nobody can count."
    )


@check("pooling", needs=("imports",))
def pooling(candidate: Candidate) -> Verdict:
    """Every path from the image to the scores passes a mean over all positions of a map."""
    title = "global average pooling"
    if candidate.graph is None:
        return without_graph(candidate, title)
    if (operation := random_operation(candidate.graph.eval)) is not None:
        return Verdict.review(f"{title}: can't be decided: {_random(operation)}")
    try:
        found = decide_pooling(candidate.graph, candidate.images.size)
    except Exception as error:  # an operation that permuted or random numbers don't suit
        return Verdict.review(f"{title}: can't be decided: {first_line(error)}")
    message = f"{title}: {found.reason}"
    if found.holds is None:
        return Verdict.review(message)
    if not found.holds:
        return Verdict.failed(message)
    return Verdict.passed(message, {"maps": list(found.maps)})


@check("recipe")
def recipe(
    candidate: Candidate,
    *,
    epochs: Annotated[int, Field(ge=1)],
    optimizers: Names = (),
    schedules: Names = (),
    augmentations: Names | None = None,
) -> Verdict:
    """The recipe is declared, within the limits, and the network can be trained by it.

    ``epochs`` is the most that it may ask for. The others list what :mod:`eva.recipe` offers and
    this assignment allows; an empty list of augmentations allows none, and without a list all are.
    """
    mistake = candidate.mistakes.get("recipe")
    if mistake is not None:
        return _from_mistake("recipe", mistake)
    recipe, graph = candidate.recipe, candidate.graph
    if recipe is None:
        return Verdict.skipped("recipe: not looked at, as the file does not import.")
    if recipe.epochs > epochs:
        return Verdict.failed(
            f"recipe: {counted(recipe.epochs, 'epoch')}; at most {epochs} "
            f"{'is' if epochs == 1 else 'are'} allowed.",
            {"epochs": recipe.epochs},
        )
    for what, parts, allowed in (
        ("optimizer", [recipe.optimizer], optimizers or None),
        ("schedule", [recipe.schedule], schedules or None),
        ("augmentation", recipe.augment, augmentations),
    ):
        for name in [type(part).__name__ for part in parts if part is not None]:
            if allowed is not None and name not in allowed:
                may = f"allowed: {', '.join(allowed)}" if allowed else "none is allowed"
                return Verdict.failed(f"recipe: the {what} {name} is not allowed here; {may}.")
    problem = _schedule_problem(recipe, candidate.images)
    if problem is None and graph is not None and "forward" not in candidate.mistakes:
        problem = _training_problem(graph, recipe, candidate.images)
    if problem is not None:
        return Verdict.failed(f"recipe: {problem}")
    if "training" in candidate.mistakes:
        return _from_mistake("recipe", candidate.mistakes["training"])
    if candidate.fixed and recipe.init is Init.DEFAULT:
        return Verdict.review(
            f"recipe: {candidate.fixed:,} weights start from the same numbers whatever the seed.\n"
            "  Were they trained before? Let PyTorch draw them: no weights written down. A filter "
            "that stays as it is belongs in a buffer (register_buffer).",
            {"fixed": candidate.fixed},
        )
    home = None if graph is None else carried(graph)
    if home is not None and home.over_budget:
        where = ", ".join(f"{place} ({count:,})" for place, count in home.places[:3])
        return Verdict.review(
            f"recipe: the graph carries what {home.numbers:,} numbers say that are not drawn here; "
            f"{INFORMATION_BUDGET} are free.\n  Most are in {where}.\n"
            "  Were they trained before? A person must look.",
            {"carried": home.numbers, "places": [list(row) for row in home.places[:20]]},
        )
    return Verdict.passed(
        f"recipe: {counted(recipe.epochs, 'epoch')}, batches of {recipe.batch_size}, "
        f"{type(recipe.optimizer).__name__}.",
        {"epochs": recipe.epochs},
    )


def _schedule_problem(recipe: Recipe, images: Images) -> str | None:
    """The first step whose learning rate is no number that PyTorch can take."""
    steps_per_epoch = -(-images.train // recipe.batch_size)
    largest = torch.finfo(torch.float32).max
    try:
        recipe.require_fit(steps_per_epoch)
    except RecipeError as error:
        return str(error)
    for step in range(recipe.epochs * steps_per_epoch):
        try:
            lr = recipe.lr(step, steps_per_epoch)
        except (ArithmeticError, ValueError) as error:
            return (
                f"the schedule can't be computed at step {step}: {first_line(error)}.\n"
                f"  An epoch has {steps_per_epoch:,} steps: is a share of them less than one step?"
            )
        if not math.isfinite(lr) or abs(lr) > largest:
            return f"the learning rate of step {step} is {lr:g}; no number that large can be used."
    return None


def _training_problem(graph: Graph, recipe: Recipe, images: Images) -> str | None:
    """Why one step of training by the recipe is not possible; None if it is."""
    module = GraphModule(graph)
    trainable = [p for p in module.parameters() if p.requires_grad]
    if not trainable:
        return (
            "there is nothing to train: no parameter that forward reads requires a gradient.\n"
            "  Is requires_grad_(False) called, or is everything under torch.no_grad()?"
        )
    batch = min(batch_sizes(recipe, images, training=True)[0], LARGEST_BATCH)
    generator = torch.Generator().manual_seed(8)
    try:
        with seeded(torch.device("cpu"), 8):
            initialize(module, recipe.init)
            optimizer = make_optimizer(module, recipe)
            noise = augment(
                torch.rand(batch, *images.size, generator=generator),
                recipe.augment,
                generator,
                recipe.interpolation,
            )
            labels = torch.randint(images.classes, (batch,), generator=generator)
            scores = module.train()(normalize(noise))
            if not scores.requires_grad:
                return (
                    "no gradient reaches a parameter, so nothing would be learned.\n"
                    "  Does forward call .detach(), .data or torch.no_grad() on the way?"
                )
            loss = F.cross_entropy(scores, labels, label_smoothing=recipe.label_smoothing)
            loss.backward()  # type: ignore[no-untyped-call]
            set_lr(optimizer, recipe.optimizer.lr)
            optimizer.step()
    except EvaError as error:
        return f"a step of training fails: {error.problem}"
    except Exception as error:  # whatever PyTorch says of this graph or these numbers
        return f"a step of training raised {first_line(error)}"
    return None


def without_graph(candidate: Candidate, title: str) -> Verdict:
    """The answer of a check that looks at the graph, where there is none."""
    mistake = candidate.mistakes.get("graph")
    if mistake is not None:
        return _from_mistake(title, mistake)
    return Verdict.skipped(
        f"{title}: not looked at, as forward raised.", {"note": "forward raised"}
    )


def _constant(scores: Tensor) -> bool:
    spread = float((scores - scores[:1]).abs().max())
    return spread <= 1e-6 * float(scores.abs().max())


def _listed(sizes: tuple[int, ...]) -> str:
    return " and ".join(filter(None, (", ".join(map(str, sizes[:-1])), str(sizes[-1]))))


def _from_mistake(title: str, mistake: Mistake) -> Verdict:
    answer = Verdict.review if mistake.review else Verdict.failed
    return answer(f"{title}: {mistake.problem}", trace=mistake.trace)
