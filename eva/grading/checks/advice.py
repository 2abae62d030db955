"""Advice: what an experienced eye would point at, and no check forbids.

A check says whether something holds. Advice costs no points and never fails: it says what usually
goes better, or that something unusual is fine, and where to read of it. It is registered where it
is written::

    @advise("parameters", "Does a convolution need a bias?")
    def bias_before_batch_norm(candidate: Candidate) -> str | None: ...

The function gets a candidate or, with ``trains=True``, the record of a training.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

from eva import rf
from eva.data import Images
from eva.grading.graph.candidate import Candidate
from eva.grading.graph.execution import GraphModule
from eva.grading.graph.export import export_graph, unwrap
from eva.grading.graph.graph import Graph
from eva.grading.graph.helpers import layer_of, live_nodes, seen_values
from eva.grading.graph.nodes import Node, Program, Ref
from eva.grading.graph.trial import batch_sizes
from eva.json_types import Json
from eva.recipe import SGD, OneCycle, Recipe, RMSprop
from eva.record import Run

_Saying = Callable[[Any], str | None]


@dataclass(frozen=True, kw_only=True)
class Advice:
    """One piece of advice.

    Attributes:
        about: Its id: the name of the function that gave it.
        text: One to three sentences, with the student's numbers.
        lesson: Where to read on, under the folder of the course's pages.
        fine: Nothing has to change.
    """

    about: str
    text: str
    lesson: str
    fine: bool = False

    def __str__(self) -> str:
        """The text after its kind, and the address of the lesson."""
        return f"{'Note' if self.fine else 'Advice'}: {self.text} See {self.lesson}."

    def to_json(self) -> dict[str, Json]:
        """All fields."""
        return dict(vars(self))


@dataclass(frozen=True, kw_only=True)
class Adviser:
    """A registered function, and what to say of its answer."""

    about: str
    lesson: str
    fine: bool
    trains: bool
    answer: _Saying


ADVISERS: dict[str, Adviser] = {}


def advise(
    page: str, heading: str, *, fine: bool = False, trains: bool = False
) -> Callable[[_Saying], _Saying]:
    """Register a function that answers with advice, or with None.

    Args:
        page: Name of the lesson's page.
        heading: Of its section.
        fine: It only says that something unusual is no mistake.
        trains: It is asked of a training's record, and else of a candidate.
    """
    anchor = re.sub(r"[^\w\s-]", "", heading.lower()).strip().replace(" ", "-")

    def register(answer: _Saying) -> _Saying:
        name = answer.__name__
        ADVISERS[name] = Adviser(
            about=name,
            lesson=f"docs/lessons/{page}.md#{anchor}",
            fine=fine,
            trains=trains,
            answer=answer,
        )
        return answer

    return register


def advice_on(candidate: Candidate) -> tuple[Advice, ...]:
    """Advice on a network and its recipe, as far as they are there."""
    return tuple(_ask(candidate, trains=False))


def advice_on_network(
    model: nn.Module, recipe: Recipe, images: Images | None = None
) -> tuple[Advice, ...]:
    """Advice on a network that was built and its recipe.

    Args:
        model: On the CPU. What can't be exported gets no advice: the checks say why.
        recipe: That it is trained by.
        images: That it is trained on; those of MNIST by default.
    """
    images = images or Images()
    batch, *_ = batch_sizes(recipe, images, training=True)
    graph = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            graph = export_graph(unwrap(model), images.size, batch=batch)
        except Exception:  # whatever export says of any network; `eva check` tells it
            graph = None
    return advice_on(Candidate(recipe=recipe, graph=graph, images=images))


def advice_on_run(run: Run) -> tuple[Advice, ...]:
    """Advice on a training, from its record."""
    return tuple(_ask(run, trains=True))


def _ask(subject: object, *, trains: bool) -> Iterator[Advice]:
    for one in ADVISERS.values():
        if one.trains is not trains:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                text = one.answer(subject)
            except Exception:  # a graph of a kind that nobody thought of: no advice on it
                continue
        if text is not None:
            yield Advice(about=one.about, text=text, lesson=one.lesson, fine=one.fine)


# How the network ends.

_SHAPES = {
    "view", "_unsafe_view", "reshape", "flatten", "squeeze", "unsqueeze", "permute", "transpose",
    "contiguous", "clone", "alias", "_to_copy", "to", "mul", "div", "neg", "select", "slice",
    "mean", "sum", "avg_pool2d", "adaptive_avg_pool2d", "amax", "max_pool2d",
    "adaptive_max_pool2d", "logsumexp",
}  # fmt: skip
"""What may stand between the last layer and the scores: other shapes, means and scales."""
_SQUASHES = {
    "sigmoid": "sigmoid", "hardsigmoid": "hardsigmoid", "tanh": "tanh", "hardtanh": "hardtanh",
    "relu6": "ReLU6", "softsign": "softsign", "clamp": "clamp", "logsigmoid": "logsigmoid",
    "log_sigmoid": "logsigmoid",
}  # fmt: skip
_SOFTMAX, _LOG_SOFTMAX = {"softmax", "_softmax", "softmin"}, {"log_softmax", "_log_softmax"}
_RELU = {
    "relu": "ReLU", "threshold": "threshold", "clamp_min": "ReLU", "gelu": "GELU", "silu": "SiLU",
    "elu": "ELU", "celu": "CELU", "mish": "Mish", "hardswish": "Hardswish", "softplus": "softplus",
}  # fmt: skip
_DROPOUT = {"dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout"}
_DROPOUT |= {"native_dropout", "_fused_dropout"}
_BATCH_NORM = {"batch_norm", "native_batch_norm", "_native_batch_norm_legit", "cudnn_batch_norm"}
_NORMS = _BATCH_NORM | {
    "group_norm", "native_group_norm", "layer_norm", "native_layer_norm", "instance_norm",
    "rms_norm", "var", "var_mean", "std", "std_mean", "rsqrt", "linalg_vector_norm", "norm",
    "_weight_norm", "_weight_norm_interface", "local_response_norm",
}  # fmt: skip
"""What keeps the numbers of a network in scale, by hand too."""
_CONVOLUTIONS = {"conv1d", "conv2d", "conv3d", "convolution", "conv_transpose2d"}
_LAYERS = _CONVOLUTIONS | {"linear", "addmm", "matmul", "mm", "bmm", "einsum"}
_AFTER = (
    _SHAPES | _SQUASHES.keys() | _SOFTMAX | _LOG_SOFTMAX | _RELU.keys() | _DROPOUT | _BATCH_NORM
)


def _kind(node: Node) -> str:
    """Name of an operation without its room, its overload and the mark of in-place ones."""
    name = node.op.split(".")[1] if "." in node.op else node.op
    return name if name.startswith("_") else name.rstrip("_")


def _writers(program: Program) -> dict[str, Node]:
    return {name: node for node in live_nodes(program) for name in node.outputs if name}


def _ending(graph: Graph) -> list[Node]:
    """Operations of the train program after its last layer of weights, from the scores back."""
    writers = _writers(graph.train)
    seen = seen_values(graph.train)
    found: list[Node] = []
    name = graph.train.output
    while name in writers:
        node = writers[name]
        if _kind(node) in _LAYERS:
            return found
        found.append(node)
        tensors = {ref for ref in node.reads() if ref in seen}
        if _kind(node) not in _AFTER or len(tensors) != 1:
            return found[:-1]
        name = tensors.pop()
    return found


def _ends_with(candidate: Candidate, kinds: set[str]) -> str | None:
    if candidate.graph is None:
        return None
    return next((_kind(node) for node in _ending(candidate.graph) if _kind(node) in kinds), None)


_END = "The end of a network"


@advise("pipeline", _END)
def softmax_at_the_end(candidate: Candidate) -> str | None:
    """Cross-entropy takes a softmax of its own."""
    if _ends_with(candidate, _SOFTMAX) is None:
        return None
    return (
        "the network ends with a softmax, and cross-entropy takes a softmax itself. With two of "
        "them the loss can't fall below 1.46, and gradients are small: return the scores."
    )


@advise("pipeline", _END, fine=True)
def log_softmax_at_the_end(candidate: Candidate) -> str | None:
    """Twice is once."""
    if _ends_with(candidate, _LOG_SOFTMAX) is None:
        return None
    return (
        "the network ends with a log_softmax. That is fine: cross-entropy takes another one, which "
        "changes nothing. You may leave it out."
    )


@advise("pipeline", _END)
def relu_at_the_end(candidate: Candidate) -> str | None:
    """A class whose scores are all negative learns nothing."""
    found = _ends_with(candidate, set(_RELU))
    if found is None:
        return None
    return (
        f"a {_RELU[found]} comes after the last layer. It cuts negative scores off, and little or "
        "no gradient reaches what was cut: let the last layer end the network."
    )


@advise("pipeline", _END)
def squashed_at_the_end(candidate: Candidate) -> str | None:
    """Bounded scores can't become sure."""
    found = _ends_with(candidate, set(_SQUASHES))
    if found is None:
        return None
    return (
        f"a {_SQUASHES[found]} comes after the last layer. It bounds the scores, so the network "
        "can't become sure of a digit: let the last layer end the network."
    )


@advise("pipeline", _END)
def dropout_at_the_end(candidate: Candidate) -> str | None:
    """Dropped scores are wrong scores."""
    if _ends_with(candidate, _DROPOUT) is None:
        return None
    return (
        "a dropout comes after the last layer. It drops parts of the scores themselves: put it "
        "before the last layer, or leave it out."
    )


@advise("pipeline", _END)
def batch_norm_at_the_end(candidate: Candidate) -> str | None:
    """Scores need no common scale."""
    if _ends_with(candidate, _BATCH_NORM) is None:
        return None
    return (
        "a BatchNorm comes after the last layer. It gives the scores of each class the same mean "
        "and spread over a batch: let the last layer end the network."
    )


# What is inside.


@advise("parameters", "Does a convolution need a bias?")
def bias_before_batch_norm(candidate: Candidate) -> str | None:
    """BatchNorm subtracts what a bias adds."""
    graph = candidate.graph
    if graph is None:
        return None
    writers = _writers(graph.train)
    stored = {s.name: s for s in graph.stored}
    readers: dict[str, int] = {}
    for node in live_nodes(graph.train):
        for name in set(node.reads()):
            readers[name] = readers.get(name, 0) + 1
    wasted: dict[str, int] = {}
    for node in live_nodes(graph.train):
        if _kind(node) not in _BATCH_NORM or not isinstance(node.args[0], Ref):
            continue
        layer = writers.get(node.args[0].name)
        if layer is None or _kind(layer) not in _CONVOLUTIONS | {"linear"} or len(layer.args) < 3:
            continue
        bias = layer.args[2]
        if isinstance(bias, Ref) and bias.name in stored and readers[layer.outputs[0]] == 1:
            wasted[layer_of(stored[bias.name])] = stored[bias.name].data.numel()
    if not wasted:
        return None
    names = ", ".join(list(wasted)[:4]) + (", ..." if len(wasted) > 4 else "")
    return (
        f"{sum(wasted.values()):,} parameters are biases before a BatchNorm ({names}), which "
        "subtracts them again: write bias=False."
    )


@advise("regularization", "BatchNorm: keep the scale")
def no_normalization(candidate: Candidate) -> str | None:
    """Several convolutions, and nothing keeps the scale."""
    if candidate.graph is None:
        return None
    kinds = [_kind(node) for node in live_nodes(candidate.graph.train)]
    convolutions = sum(kind in _CONVOLUTIONS for kind in kinds)
    if convolutions < 3 or not _NORMS.isdisjoint(kinds):
        return None
    return (
        f"{convolutions} convolutions and no BatchNorm. With one after each convolution but the "
        "last, larger steps are possible, and training is faster."
    )


_NARROW = 18  # pixels; a digit fills 20, and our own answer to one_epoch_25k sees 18
_MEANS = {"mean", "avg_pool2d", "_adaptive_avg_pool2d", "adaptive_avg_pool2d", "sum"}


@advise("receptive-fields", "The whole image, or less?")
def narrow_field(candidate: Candidate) -> str | None:
    """The last map that is pooled sees a part of the digit."""
    if candidate.graph is None:
        return None
    trace = rf.trace(GraphModule(candidate.graph), candidate.images.size)
    maps = [
        (index, op)
        for index, op in enumerate(trace.ops)
        if op.from_input and len(shape := op.output_sizes[0]) == 4 and min(shape[2:]) > 1
    ]
    if not maps or any(op.rf.status is not rf.FieldStatus.EXACT for _, op in maps):
        return None
    index, last = maps[-1]
    channels, height, width = last.output_sizes[0][1:]
    after = trace.ops[index + 1 :]
    pooled = any(op.name.partition(".")[2] in _MEANS for op in after)
    placed = any(
        any(shape and shape[-1] == channels * height * width for shape in op.input_sizes)
        and op.name.partition(".")[2] in _LAYERS
        for op in after
    )
    sizes = [max(op.rf.size) for _, op in maps]
    if not pooled or placed or max(sizes) >= _NARROW:
        return None
    digit = ", and a digit fills about 20" if candidate.images.size == Images().size else ""
    return (
        f"the last map sees {max(sizes)} of {candidate.images.size[1]} pixels{digit}: the network "
        "guesses from parts of it. A pool earlier, or another convolution, widens the view."
    )


# The recipe.

_EDGES = {
    "sgd": (0.0049, 5.1),
    "adam": (1e-4, 0.03),
    "adamw": (1e-4, 0.03),
    "rmsprop": (1e-4, 0.03),
}
"""Learning rates that are usual; those of SGD are divided by one minus the momentum."""


@advise("schedules", "How large may the peak be?")
def rate_at_the_edge(candidate: Candidate) -> str | None:
    """A learning rate that is far from those that work."""
    if candidate.recipe is None:
        return None
    optimizer = candidate.recipe.optimizer
    rate = optimizer.lr
    if isinstance(optimizer, SGD | RMSprop):
        rate /= 1 - optimizer.momentum
    low, high = _EDGES[optimizer.kind]
    if low <= rate <= high:
        return None
    which = "low" if rate < low else "high"
    inside = (high if rate > high else low) * optimizer.lr / rate
    return (
        f"a learning rate of {optimizer.lr:g} is {which} for {type(optimizer).__name__}: most "
        f"networks of this course want {'at most' if rate > high else 'at least'} {inside:.1g}. "
        "`eva lr-find` measures it."
    )


@advise("schedules", "Momentum may cycle too", fine=True)
def momentum_overwritten(candidate: Candidate) -> str | None:
    """The schedule sets the momentum of every step."""
    recipe = candidate.recipe
    if recipe is None or not isinstance(recipe.schedule, OneCycle):
        return None
    if recipe.schedule.momentum is None:
        return None
    low, high = recipe.schedule.momentum
    optimizer = recipe.optimizer
    own = optimizer.betas[0] if hasattr(optimizer, "betas") else optimizer.momentum
    return (
        f"OneCycle sets the momentum of every step, between {low:g} and {high:g}, so the {own:g} "
        f"of {type(optimizer).__name__} is never used."
    )


# What came of it.

_FEWEST = 3  # epochs after which accuracies are compared; before, training lags behind
_LAST = 4  # epochs whose mean is compared
_ABOVE, _BELOW = 1.0, 3.0  # points; experiment 2 overfits by 0.6, experiment 3 underfits by 1.2


def _gap(run: Run) -> float | None:
    """Training accuracy less test accuracy, the mean of the last epochs, in points."""
    if len(run.rows) < _FEWEST or _stands(run):
        return None
    last = run.rows[-_LAST:]
    return sum(row.train_accuracy - row.test_accuracy for row in last) / len(last)


def _stands(run: Run) -> bool:
    """Whether nothing was learned: a tenth of the answers is right, the loss is at -log(0.1)."""
    return bool(run.rows) and run.rows[-1].train_loss > 2.2 and run.rows[-1].train_accuracy < 20


@advise("pipeline", "Steps 2 and 3: scores and loss", trains=True)
def loss_stands(run: Run) -> str | None:
    """The loss is that of guessing."""
    if not _stands(run):
        return None
    return (
        f"the loss stands at {run.rows[-1].train_loss:.2f}, and guessing gives 2.30: nothing was "
        "learned. Is the learning rate too high (`eva lr-find`), or does something cut the "
        "gradients, such as a ReLU or a softmax at the end?"
    )


@advise("regularization", "4. BatchNorm, dropout, augmentation", trains=True)
def overfits(run: Run) -> str | None:
    """Training accuracy far above test accuracy."""
    gap = _gap(run)
    if gap is None or gap < _ABOVE:
        return None
    return (
        f"training accuracy is {gap:.1f} points above test accuracy: the network memorizes. "
        "Augmentation helps most; a smaller network or a little dropout may."
    )


@advise("regularization", "4. BatchNorm, dropout, augmentation", trains=True)
def underfits(run: Run) -> str | None:
    """Training accuracy far below test accuracy."""
    gap = _gap(run)
    if gap is None or gap > -_BELOW:
        return None
    return (
        f"training accuracy is {-gap:.1f} points below test accuracy: training is made hard. Less "
        "dropout, less augmentation or more epochs leave more to be learned."
    )
