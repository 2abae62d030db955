"""From a submission's code to what the checks look at; the student's mistakes are carried along.

The student's Python runs here and nowhere else: it is imported, builds the model, and runs
forward to be exported. Everything after that is asked of the graph.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from eva.builder import advice_for
from eva.data import Images
from eva.errors import EvaError, RecipeError, SubmissionError
from eva.grading.graph.candidate import Candidate, Mistake
from eva.grading.graph.conversion import Uncountable, Unsupported
from eva.grading.graph.execution import GraphModule
from eva.grading.graph.export import export_graph, unwrap
from eva.grading.graph.graph import Graph
from eva.grading.graph.helpers import layer_of, random_operation
from eva.grading.graph.information import INFORMATION_BUDGET
from eva.grading.graph.nodes import Role, Stored
from eva.grading.graph.student_trace import student_trace
from eva.grading.graph.trial import (
    TrialError,
    batch_sizes,
    close,
    first_line,
    scores_of,
    try_out,
)
from eva.module_state import unchanged
from eva.recipe import Recipe
from eva.seeds import derive_seed, seed_python, seeded, seeds_ignored
from eva.submission import (
    Loadable,
    build_model,
    find_recipe,
    import_target,
    missing_name,
    target_name,
)

FEW_VALUES = 4  # an initialization by zeros, ones, an identity or signs has no more
LARGEST_NETWORK = 4_000_000  # parameters; more take minutes, and no record has room for them
_COMPARED = 128  # images, at most
_ROUNDING = (
    1e-2  # of the largest number; sums in another order differ by less, drawn numbers by more
)
_SCORES = "(scores)"


@dataclass(frozen=True, kw_only=True, eq=False)
class Captured(Candidate):
    """A candidate that was made here, and whose code can build it again.

    Attributes:
        name: As it was asked for.
        seed: The seed that drew the weights.
        module: The imported Python module.
        network: Built, and run once so that lazy layers exist.
    """

    name: str
    seed: int
    module: ModuleType | None = None
    network: nn.Module | None = None

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
        _first_forward(model, self.images, seed)
        fresh = _numbers(model)
        stored = tuple(
            replace(s, data=fresh[s.name].detach().clone())
            if s.role is not Role.CONSTANT and s.name in fresh
            else s
            for s in self.graph.stored
        )
        return GraphModule(replace(self.graph, stored=stored))


def capture(
    target: Loadable, *, seed: int = 0, images: Images | None = None, gradients: bool = True
) -> Captured:
    """Import, build and export a submission; never raises for what a student does wrong.

    Args:
        target: A path, a dotted module name, or a module.
        seed: Seed of the first weights, and of whatever else the submission draws.
        images: What it is asked about; those of MNIST by default.
        gradients: Compare those of graph and model. A process that has computed a gradient starts
            threads of autograd, and its forks can compute none.
    """
    name, images = target_name(target), images or Images()
    mistakes: dict[str, Mistake] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with seeded(torch.device("cpu"), seed):
                module = import_target(target)
        except SubmissionError as error:
            mistakes = _import_mistakes(error)
            return Captured(name=name, seed=seed, images=images, mistakes=mistakes)
        recipe = _recipe(module, name, mistakes)
        network = _network(module, name, seed, mistakes)
        graph, fixed, stored = None, 0, None
        idle: tuple[tuple[str, int], ...] = ()
        if network is not None and _runs(network, module, images, seed, mistakes):
            stored = _too_large(network, mistakes)
            try:
                if stored is None:
                    graph = _graph(network, recipe, images, mistakes)
                    if graph is not None and gradients:
                        _compare_gradients(network, graph, recipe, images, mistakes)
                    _try_out(network, recipe, images, mistakes)
                    fixed = _fixed_weights(network, module, name, derive_seed("other", seed))
                if graph is not None:
                    idle = _idle(network, graph)
                    graph = _repeated(network, graph, module, name, seed, images, mistakes)
            except Exception as error:  # tensors of a stranger's own class may refuse anything
                graph = None
                problem = f"the network can't be looked at: {first_line(error)}"
                mistakes["graph"] = Mistake(problem=problem, review=True)
    return Captured(
        name=name,
        seed=seed,
        module=module,
        recipe=recipe,
        model=type(network).__name__ if network is not None else "",
        network=network,
        graph=graph,
        fixed=fixed,
        idle=idle,
        mistakes=mistakes,
        images=images,
        stored=stored,
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
    return Mistake(problem=_with_advice(error.problem, cause), trace=student_trace(cause))


def _with_advice(problem: str, error: BaseException) -> str:
    advice = advice_for(error)
    return f"{problem}\n  {advice}" if advice else problem


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


def _network(
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
    tensors = [*nn.Module.named_parameters(model), *nn.Module.named_buffers(model)]
    for key, tensor in tensors:
        if not is_lazy(tensor) and (tensor.is_meta or tensor.layout is not torch.strided):
            kind = "is on the meta device and holds no numbers" if tensor.is_meta else "is sparse"
            raise SubmissionError(
                f"{name}: build_model() gives a network whose {key} {kind}.",
                "Build every layer on the CPU, as PyTorch does by itself: leave out device=.",
            )
    away = any(p.device.type == "cuda" for p in nn.Module.parameters(model))
    return model.to("cpu") if away else model


def _runs(
    network: nn.Module,
    module: ModuleType,
    images: Images,
    seed: int,
    mistakes: dict[str, Mistake],
) -> bool:
    try:
        _first_forward(network, images, seed)
    except (Exception, SystemExit) as error:
        problem = f"forward raised {first_line(error)}{missing_name(error, module)}"
        mistakes["forward"] = _forward_mistake(problem, error)
        return False
    return True


def _too_large(network: nn.Module, mistakes: dict[str, Mistake]) -> int | None:
    """Numbers that a network stores which is far too large to be looked at; None of any other."""
    stored = sum(p.numel() for p in nn.Module.parameters(network) if not is_lazy(p))
    if stored <= LARGEST_NETWORK:
        return None
    mistakes["graph"] = Mistake(
        problem=f"the model stores {stored:,} numbers; more than {LARGEST_NETWORK:,} are not "
        "looked at.",
        review=True,
    )
    return stored


def _try_out(
    network: nn.Module, recipe: Recipe | None, images: Images, mistakes: dict[str, Mistake]
) -> None:
    try:
        problem = try_out(network, recipe, images)
    except TrialError as error:
        cause = error.__cause__
        assert cause is not None, "the network's own"
        mistakes["forward"] = _forward_mistake(str(error), cause)
    except Exception as error:  # the module's own methods may raise anything
        mistakes["forward"] = _forward_mistake(f"forward raised {first_line(error)}", error)
    else:
        if problem is not None:
            mistakes["forward"] = Mistake(problem=problem)


def _forward_mistake(problem: str, error: BaseException) -> Mistake:
    return Mistake(problem=_with_advice(problem, error), trace=student_trace(error))


def _fixed_weights(model: nn.Module, module: ModuleType, name: str, seed: int) -> int:
    """Count the weights that another seed leaves as they are; zeros, ones and the like aside.

    A seed that ``build_model()`` sets itself makes no weights from home: they are drawn.
    """
    try:
        other = dict(nn.Module.named_parameters(_build(module, name, seed)))
    except Exception:
        return 0  # it was built once; why it fails the second time is told when it is trained
    count = _count_fixed(model, other)
    if count:
        try:
            with seeded(torch.device("cpu"), seed), seeds_ignored():
                other = dict(nn.Module.named_parameters(_build(module, name, seed)))
        except Exception:
            return count
        count = _count_fixed(model, other)
    return count


def _count_fixed(model: nn.Module, other: Mapping[str, Tensor]) -> int:
    few: set[float] = set()  # numbers of weights that have no more than an identity has
    count = hidden = 0
    for key, weight in nn.Module.named_parameters(model):
        same = key in other and not is_lazy(other[key]) and torch.equal(weight, other[key])
        numbers = set(weight.flatten().tolist()) if same else set()
        if len(numbers) > FEW_VALUES:
            count += weight.numel()
        elif len(numbers) > 1:
            few |= numbers
            hidden += weight.numel()
    return count + (hidden if len(few) > INFORMATION_BUDGET else 0)


def _idle(network: nn.Module, graph: Graph) -> tuple[tuple[str, int], ...]:
    """Layers whose parameters neither program reads, with their number, largest first."""
    names: dict[int, list[str]] = {}
    parameters: dict[int, Tensor] = {}
    for name, parameter in nn.Module.named_parameters(network, remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
        parameters[id(parameter)] = parameter
    read = {stored.name for stored in graph.stored}
    layers: dict[str, int] = {}
    for key, known_as in names.items():
        if read.isdisjoint(known_as):
            data = parameters[key]
            stored = Stored(name=known_as[0], role=Role.PARAMETER, data=data, trainable=True)
            layer = layer_of(stored)
            layers[layer] = layers.get(layer, 0) + data.numel()
    return tuple(sorted(layers.items(), key=lambda row: -row[1]))


def _first_forward(network: nn.Module, images: Images, seed: int) -> None:
    """Run once in eval mode, so that lazy layers draw their weights under the seed."""
    training = network.training
    network.eval()
    with seeded(torch.device("cpu"), seed), torch.no_grad():
        network(torch.randn(2, *images.size))
    network.train(training)


def _graph(
    network: nn.Module, recipe: Recipe | None, images: Images, mistakes: dict[str, Mistake]
) -> Graph | None:
    batch, *_ = batch_sizes(recipe, images, training=True)
    try:
        graph = export_graph(network, images.size, batch=batch)
        if random_operation(graph.eval) is None:
            _require_same_answers(network, graph, images)
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


def _compare_gradients(
    network: nn.Module,
    graph: Graph,
    recipe: Recipe | None,
    images: Images,
    mistakes: dict[str, Mistake],
) -> None:
    batch, *_ = batch_sizes(recipe, images, training=True)
    try:
        _require_same_gradients(network, graph, images, min(batch, _COMPARED))
    except Unsupported as error:
        mistakes["training"] = Mistake(problem=str(error), review=True)


def _require_same_answers(network: nn.Module, graph: Graph, images: Images) -> None:
    """Compare graph and network in eval mode, for one image and for several."""
    copy = GraphModule(graph).eval()
    noise = torch.randn(5, *images.size, generator=torch.Generator().manual_seed(2))
    for batch in (noise[:1], noise):
        with unchanged(network):
            network.eval()
            try:
                expected = scores_of(network, batch)
            except Exception:
                return  # the trial runs into it, and tells it
        if not isinstance(expected, Tensor):
            raise Unsupported(
                f"forward gives a {type(expected).__name__}, where it must give one tensor of "
                "scores."
            )
        try:
            found = scores_of(copy, batch)
            alike = torch.allclose(expected, found, rtol=1e-3, atol=1e-5, equal_nan=True)
        except (RuntimeError, TypeError, ValueError):  # another shape, or none for this batch
            alike = False
        if not alike:
            raise Unsupported(
                f"the graph gives other scores than forward does for a batch of {len(batch)}.",
                "Forward should do the same for every batch size and at every call.",
            )


def _require_same_gradients(network: nn.Module, graph: Graph, images: Images, size: int) -> None:
    """Compare graph and network in train mode: scores, and the gradient of every parameter.

    Only the graph is trained. A gradient that Python code has written, or a draw of Python's that
    the graph has frozen, would make it another network than the student's.
    """
    generator = torch.Generator().manual_seed(6)
    noise = torch.randn(size, *images.size, generator=generator)
    labels = torch.randint(images.classes, (size,), generator=generator)
    copy = GraphModule(graph)
    try:
        first = _gradients(network, noise, labels, seed=0)
        again = _gradients(network, noise, labels, seed=0, python_seed=1)
    except Exception:
        return  # forward or backward raises: the checks of shapes and recipe tell it
    if not _alike(first, again, rtol=1e-3):
        raise Unsupported(
            "forward does not do the same at every call in train mode.",
            "Draws of `random` and numpy, clocks and counters are no part of the graph. "
            "Draw with torch: `torch.rand(())` in place of `random.random()`.",
        )
    try:
        found = _gradients(copy, noise, labels, seed=0)
    except (RuntimeError, TypeError, ValueError):
        found = {}
    if _SCORES not in found or not close(first[_SCORES], found[_SCORES], rtol=1e-3):
        raise Unsupported(
            "the graph gives other scores than forward does in train mode.",
            "Forward should do the same for every batch size and at every call.",
        )
    other = [name for name in found if not close(first.get(name), found[name], rtol=1e-2)]
    lost = [name for name in first if name not in found and first[name].abs().max() > 0]
    names = _same_parameter(network)
    lost = [name for name in lost if names[name].isdisjoint(found)]
    if other or lost:
        raise Unsupported(
            f"the gradient of {(other or lost)[0]} is not the one that forward's operations have.",
            "An autograd.Function with a backward of its own, a hook, or .data changes it; only "
            "the operations of forward are trained.",
        )


def _gradients(
    module: nn.Module, noise: Tensor, labels: Tensor, *, seed: int, python_seed: int | None = None
) -> dict[str, Tensor]:
    """Gradients by parameter, and the scores, of one batch in train mode."""
    with unchanged(module), seeded(torch.device("cpu"), seed):
        module.train()
        if python_seed is not None:
            seed_python(python_seed)
        scores = module(noise.clone())
        named = dict(nn.Module.named_parameters(module, remove_duplicate=False))
        trainable = {name: p for name, p in named.items() if p.requires_grad}
        found = torch.autograd.grad(
            F.cross_entropy(scores, labels), list(trainable.values()), allow_unused=True
        )
    gradients = {
        name: torch.zeros_like(p) if gradient is None else gradient
        for (name, p), gradient in zip(trainable.items(), found, strict=True)
    }
    return {**gradients, _SCORES: scores.detach()}


def _same_parameter(network: nn.Module) -> dict[str, set[str]]:
    """For every name of a parameter all names that it goes by."""
    names: dict[int, set[str]] = {}
    for name, parameter in nn.Module.named_parameters(network, remove_duplicate=False):
        names.setdefault(id(parameter), set()).add(name)
    return {name: group for group in names.values() for name in group} | {_SCORES: {_SCORES}}


def _alike(one: Mapping[str, Tensor], other: Mapping[str, Tensor], rtol: float) -> bool:
    return all(close(tensor, other.get(name), rtol) for name, tensor in one.items())


def _repeated(
    network: nn.Module,
    graph: Graph,
    module: ModuleType,
    name: str,
    seed: int,
    images: Images,
    mistakes: dict[str, Mistake],
) -> Graph | None:
    """The graph, if ``build_model()`` gives the same network at every call with one seed."""
    try:
        other = _build(module, name, seed)
        _first_forward(other, images, seed)
        alike = _numbers(network).keys() == _numbers(other).keys() and _alike(
            _numbers(network), _numbers(other), rtol=_ROUNDING
        )
        noise = torch.randn(5, *images.size, generator=torch.Generator().manual_seed(2))
        scores = []
        for one in (network, other):
            with unchanged(one):
                one.eval()
                scores.append(scores_of(one, noise))
        alike = alike and close(scores[0], scores[1], rtol=_ROUNDING)
    except Exception as error:
        alike, reason = False, f" It raised {first_line(error)}."
    else:
        reason = ""
    if alike:
        return graph
    mistakes["graph"] = Mistake(
        problem="build_model() does not give the same network at every call with the same seed."
        f"{reason}\n  Clocks, counters and os.urandom have no part in a network; draw with torch.",
        review=True,
    )
    return None


def _numbers(network: nn.Module) -> dict[str, Tensor]:
    return {
        **dict(nn.Module.named_parameters(network, remove_duplicate=False)),
        **dict(nn.Module.named_buffers(network, remove_duplicate=False)),
    }
