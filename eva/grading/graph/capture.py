"""From a submission's code to what the checks look at; the student's mistakes are carried along.

The student's Python runs here and nowhere else: it is imported, builds the model, and runs
forward to be exported. Everything after that is asked of the graph.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from eva.errors import EvaError, RecipeError, SubmissionError
from eva.grading.graph.conversion import Uncountable, Unsupported
from eva.grading.graph.execution import GraphModule
from eva.grading.graph.export import export_graph, unwrap
from eva.grading.graph.graph import Graph
from eva.grading.graph.helpers import random_operation
from eva.grading.graph.nodes import Role
from eva.grading.graph.student_trace import student_trace
from eva.recipe import Recipe
from eva.seeds import seeded
from eva.submission import build_model, find_recipe, import_target

INPUT_SIZE = (1, 28, 28)
FEW_VALUES = 4  # an initialization by zeros, ones, an identity or signs has no more
_CPU = "A submission runs on the CPU; where it trains is the trainer's affair: leave out .cuda()."


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """Why a part of a submission could not be captured.

    Attributes:
        problem: One or two lines for the student.
        trace: Their own traceback, where their code raised.
        review: A person must look; otherwise it is plainly a failure.
    """

    problem: str
    trace: str | None = None
    review: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Captured:
    """A submission as the checks see it; what is None has its reason in ``mistakes``.

    Attributes:
        name: As it was asked for.
        seed: That the weights were drawn with.
        module: The imported Python module.
        recipe: Read back from its own JSON, so that it holds declared parts alone.
        model: Built, and run once so that lazy layers exist.
        graph: What the model computes.
        fixed: Weights that come out the same whatever the seed; trained elsewhere, perhaps.
        mistakes: By the part that could not be had: "imports", "recipe", "forward", "graph".
    """

    name: str
    seed: int
    module: ModuleType | None = None
    recipe: Recipe | None = None
    model: nn.Module | None = None
    graph: Graph | None = None
    fixed: int = 0
    mistakes: dict[str, Mistake] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 of graph, first weights and recipe: two submissions that train alike agree.

        Without a graph it is empty, and nothing may be remembered under it.
        """
        if self.graph is None or self.recipe is None:
            return ""
        text = json.dumps([self.graph.to_json(), self.recipe.to_json()], sort_keys=True)
        return hashlib.sha256(text.encode() + self.graph.to_bytes()).hexdigest()

    def trainable(self, seed: int | None = None) -> GraphModule:
        """The captured graph as a module to train, with weights drawn by ``seed``.

        Nothing of the student's Python runs while it trains.

        Raises:
            SubmissionError: There is no graph, or ``build_model()`` fails the second time.
        """
        if self.graph is None or self.module is None:
            raise SubmissionError(f"{self.name} could not be captured, so it can't be trained.")
        if seed is None or seed == self.seed:
            return GraphModule(self.graph)
        model = _build(self.module, self.name, seed)
        _first_forward(model, INPUT_SIZE, seed)
        fresh: dict[str, Tensor] = {
            **dict(nn.Module.named_parameters(model, remove_duplicate=False)),
            **dict(nn.Module.named_buffers(model, remove_duplicate=False)),
        }
        stored = tuple(
            replace(s, data=fresh[s.name].detach().clone())
            if s.role is not Role.CONSTANT and s.name in fresh
            else s
            for s in self.graph.stored
        )
        return GraphModule(replace(self.graph, stored=stored))


def capture(
    target: str | Path, *, seed: int = 0, input_size: tuple[int, int, int] = INPUT_SIZE
) -> Captured:
    """Import, build and export a submission; never raises for what a student does wrong.

    Args:
        target: A path or a dotted module name.
        seed: Of the first weights.
        input_size: Channels, height and width of an image.
    """
    name = str(target)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            module = import_target(target)
        except SubmissionError as error:
            return Captured(name=name, seed=seed, mistakes=_import_mistakes(error))
        mistakes: dict[str, Mistake] = {}
        recipe = _recipe(module, name, mistakes)
        model = _model(module, name, seed, mistakes)
        graph, fixed = None, 0
        if model is not None and _runs(model, input_size, seed, mistakes):
            graph = _graph(model, input_size, mistakes)
            fixed = _fixed_weights(model, module, name, seed + 1)
    return Captured(
        name=name,
        seed=seed,
        module=module,
        recipe=recipe,
        model=model,
        graph=graph,
        fixed=fixed,
        mistakes=mistakes,
    )


def _import_mistakes(error: SubmissionError) -> dict[str, Mistake]:
    cause = error.__cause__
    mistakes = {"imports": _mistake(error)}
    if isinstance(cause, RecipeError):
        mistakes["recipe"] = Mistake(problem=str(cause), trace=student_trace(cause))
        mistakes["imports"] = Mistake(
            problem="the file stops where it makes its recipe; see the check of the recipe."
        )
    return mistakes


def _mistake(error: SubmissionError) -> Mistake:
    cause = error.__cause__
    if cause is None or (isinstance(cause, ModuleNotFoundError) and not _raised_by_them(cause)):
        return Mistake(problem=str(error))
    needs_cuda = any(word in str(cause) for word in ("CUDA", "NVIDIA", "cuda"))
    problem = f"{error.problem}\n  {_CPU}" if needs_cuda else error.problem
    return Mistake(problem=problem, trace=student_trace(cause))


def _raised_by_them(error: BaseException) -> bool:
    return student_trace(error).startswith("  File")


def _recipe(module: ModuleType, name: str, mistakes: dict[str, Mistake]) -> Recipe | None:
    try:
        found = find_recipe(module, name)
        recipe = Recipe.from_json(found.to_json())
    except EvaError as error:
        mistakes["recipe"] = Mistake(problem=str(error))
        return None
    except Exception as error:  # a subclass of Recipe may do anything
        mistakes["recipe"] = Mistake(problem="RECIPE is no plain Recipe.", trace=str(error))
        return None
    if type(found) is not Recipe or recipe != found:
        mistakes["recipe"] = Mistake(problem="RECIPE holds more than the declared parts.")
        return None
    return recipe


def _model(
    module: ModuleType, name: str, seed: int, mistakes: dict[str, Mistake]
) -> nn.Module | None:
    try:
        return _build(module, name, seed)
    except SubmissionError as error:
        mistakes["imports"] = _mistake(error)
    except Exception as error:  # the module's own methods may raise anything
        problem = f"the module that build_model() gives raised {type(error).__name__}: {error}"
        mistakes["imports"] = Mistake(problem=problem, trace=student_trace(error))
    return None


def _build(module: ModuleType, name: str, seed: int) -> nn.Module:
    model = unwrap(build_model(module, name, seed))
    away = any(p.device.type == "cuda" for p in nn.Module.parameters(model))
    return model.to("cpu") if away else model


def _runs(
    model: nn.Module, input_size: tuple[int, int, int], seed: int, mistakes: dict[str, Mistake]
) -> bool:
    try:
        _first_forward(model, input_size, seed)
    except (Exception, SystemExit) as error:
        text = str(error).strip().splitlines()
        problem = f"forward raised {type(error).__name__}: {text[0] if text else ''}"
        if any(word in str(error) for word in ("CUDA", "NVIDIA", "cuda")):
            problem += f"\n  {_CPU}"
        mistakes["forward"] = Mistake(problem=problem, trace=student_trace(error))
        return False
    return True


def _fixed_weights(model: nn.Module, module: ModuleType, name: str, seed: int) -> int:
    """Count the weights that another seed leaves as they are; zeros, ones and the like aside."""
    try:
        other = dict(nn.Module.named_parameters(_build(module, name, seed)))
    except Exception:
        return 0  # it was built once; why it fails the second time is told when it is trained
    return sum(
        weight.numel()
        for key, weight in nn.Module.named_parameters(model)
        if weight.ndim >= 2
        and key in other
        and not is_lazy(other[key])
        and torch.equal(weight, other[key])
        and len(set(weight.flatten().tolist())) > FEW_VALUES
    )


def _first_forward(model: nn.Module, input_size: tuple[int, int, int], seed: int) -> None:
    """Run once in eval mode, so that lazy layers draw their weights under the seed."""
    training = model.training
    model.eval()
    with seeded(torch.device("cpu"), seed), torch.no_grad():
        model(torch.randn(2, *input_size))
    model.train(training)


def _graph(
    model: nn.Module, input_size: tuple[int, int, int], mistakes: dict[str, Mistake]
) -> Graph | None:
    try:
        graph = export_graph(model, input_size)
        if random_operation(graph.eval) is None:
            _require_same_answers(model, graph, input_size)
    except Uncountable as error:
        mistakes["graph"] = Mistake(problem=str(error))
        return None
    except Unsupported as error:
        mistakes["graph"] = Mistake(problem=str(error), review=True)
        return None
    except Exception as error:  # the module's own methods again, called by torch.export
        problem = f"the model can't be captured: {type(error).__name__}: {error}"
        mistakes["graph"] = Mistake(problem=problem, trace=student_trace(error), review=True)
        return None
    return graph


def _require_same_answers(model: nn.Module, graph: Graph, input_size: tuple[int, int, int]) -> None:
    """Compare graph and model in eval mode, for one image and for several."""
    model.eval()
    copy = GraphModule(graph).eval()
    images = torch.randn(5, *input_size, generator=torch.Generator().manual_seed(2))
    for batch in (images[:1], images):
        try:
            expected = _quietly(model, batch)
        except Exception:
            return  # the check of the shapes runs into it, and tells it
        try:
            found = _quietly(copy, batch)
            alike = torch.allclose(expected, found, rtol=1e-3, atol=1e-5, equal_nan=True)
        except (RuntimeError, TypeError, ValueError):  # another shape, or none for this batch
            alike = False
        if not alike:
            raise Unsupported(
                f"the graph gives other scores than forward does for a batch of {len(batch)}.",
                "Forward should do the same for every batch size and at every call.",
            )


def _quietly(module: nn.Module, batch: Tensor) -> Any:
    with seeded(torch.device("cpu"), 0), torch.no_grad():
        return module(batch)
