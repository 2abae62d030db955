"""Which graphs of strangers may run here at all, decided before a byte of theirs is allocated.

A graph is admitted when its operations are on a list, its literals are tame, and a run with fake
tensors, which have shapes and no memory, stays small for every batch size that the judge uses.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from eva.data import Images
from eva.errors import GradingError, message_line
from eva.grading.graph.candidate import Candidate, Mistake
from eva.grading.graph.counting import MAX_WORK
from eva.grading.graph.execution import steps
from eva.grading.graph.graph import Graph
from eva.grading.graph.nodes import Node, Program, Role
from eva.grading.graph.trial import LARGEST_BATCH, batch_sizes
from eva.jobs import WORKER_MEMORY
from eva.recipe import RandomCrop, RandomErasing, Recipe, Shift

MAX_NUMBERS = 8_000_000  # computed for one image; the reference computes 0.2 million
MAX_FIXED = 64_000_000  # computed whatever the batch
MAX_BATCH = 8192
MAX_AUGMENTATIONS = 16
MAX_PIXELS = 56  # of a shift, a padding or an erased square: twice the image
_KEPT = 8  # bytes of a number that a layer gives and of its gradient, in float32
_BATCHES = (3, 5, 8)  # of the checks, beside those of training and evaluation
_FACTOR = 20  # times the work that a person would be asked about

_NAMES = """
relu relu6 leaky_relu prelu _prelu_kernel elu selu celu gelu silu mish hardswish hardsigmoid
hardtanh sigmoid log_sigmoid tanh softplus softmax log_softmax _softmax _log_softmax threshold
rrelu glu softshrink hardshrink conv1d conv2d conv_transpose2d linear matmul mm bmm addmm
baddbmm einsum mv dot scaled_dot_product_attention batch_norm instance_norm group_norm
layer_norm rms_norm _weight_norm _weight_norm_interface norm linalg_vector_norm
adaptive_avg_pool1d adaptive_avg_pool2d adaptive_max_pool2d avg_pool1d avg_pool2d max_pool1d
max_pool2d max_pool2d_with_indices dropout feature_dropout alpha_dropout feature_alpha_dropout
native_dropout bernoulli rand rand_like randn randn_like add sub rsub mul div neg abs exp expm1
log log1p log2 sqrt rsqrt pow square reciprocal sin cos tan sinh cosh asin acos atan atan2 sign
frac floor ceil round trunc clamp clamp_min clamp_max maximum minimum where masked_fill lerp
addcmul addcdiv eq ne lt le gt ge logical_and logical_or logical_not logical_xor remainder fmod
erf floor_divide true_divide isnan isinf isfinite nan_to_num mean sum prod amax amin max min
argmax argmin std var std_mean var_mean logsumexp cumsum cumprod any all topk sort argsort view
reshape flatten unflatten squeeze unsqueeze permute transpose t movedim swapaxes expand
expand_as repeat cat concat stack split split_with_sizes chunk unbind slice select narrow index
index_select gather roll flip rot90 pad constant_pad_nd reflection_pad2d replication_pad2d clone
contiguous detach alias copy to _to_copy type_as lift_fresh lift_fresh_copy diagonal tril triu
pixel_shuffle pixel_unshuffle channel_shuffle unfold im2col col2im upsample_nearest2d
upsample_bilinear2d upsample_bicubic2d sym_size view_as reshape_as broadcast_to fill zero zeros
ones full arange linspace eye zeros_like ones_like full_like new_zeros new_ones new_full
scalar_tensor meshgrid matrix_H mH mT adjoint numpy_T vdot inner outer ger addmv addr kron
cosine_similarity pairwise_distance logaddexp logaddexp2 xlogy erfc exp2 logit sgn sinc
hypot nansum nanmean median cummax cummin logcumsumexp aminmax heaviside arctan sinh asinh
take_along_dim tile tensor_split hsplit vsplit hstack vstack dstack column_stack moveaxis swapdims
ravel unsafe_split unsafe_chunk conj resolve_conj resolve_neg conv_transpose1d conv3d
adaptive_max_pool1d avg_pool3d adaptive_avg_pool3d reflection_pad1d replication_pad1d fold
native_channel_shuffle upsample_nearest1d upsample_linear1d _upsample_nearest_exact2d grid_sampler
affine_grid_generator linalg_norm linalg_matrix_norm matrix_exp linalg_householder_product
scatter scatter_add index_add masked_scatter nanmedian renorm softmin isclose
__and__ __or__ __xor__ bitwise_and bitwise_or bitwise_xor bitwise_not
_upsample_bilinear2d_aa _upsample_bicubic2d_aa cdist uniform normal_functional
"""
ALLOWED = frozenset(_NAMES.split())
"""Operations of PyTorch that a network may use, in place (with a trailing underscore) or not."""
_WORDS = {"none", "constant", "reflect", "replicate", "circular", "same", "valid", "mean", "sum"}
_WORDS |= {"floor", "trunc", "tanh", "ij", "xy", "nearest", "bilinear", "bicubic"}

_SHAPING = {"view", "reshape", "expand", "unflatten", "zeros", "ones", "full", "rand", "randn",
            "new_zeros", "new_ones", "new_full", "empty", "new_empty"}  # fmt: skip

_EQUATION = re.compile(r"[A-Za-z,.\s]{1,80}(->[A-Za-z.\s]{0,20})?")  # of an einsum
_NO_EQUATION = re.compile(r"(?!)")


Anyone = TypeVar("Anyone", bound=Candidate)


def admitted(candidate: Anyone) -> Anyone:
    """The candidate without what must not be run here, and with the reason in its mistakes.

    What can be said without running the graph stays: the recipe, and how many numbers it stores.

    Args:
        candidate: Of anybody; one that was admitted before is given back.
    """
    if candidate.admitted:
        return candidate
    mistakes, recipe, graph = dict(candidate.mistakes), candidate.recipe, candidate.graph
    if recipe is not None:
        try:
            admit_recipe(recipe)
        except GradingError as error:
            mistakes["recipe"] = Mistake(problem=error.problem, review=True)
            recipe = None
    stored = candidate.stored
    if graph is not None:
        try:
            admit(graph, recipe, candidate.images)
        except GradingError as error:
            mistakes["graph"] = Mistake(problem=str(error), review=True)
            stored, graph = _stored(graph), None
    return replace(
        candidate, recipe=recipe, graph=graph, mistakes=mistakes, stored=stored, admitted=True
    )


def admit(graph: Graph, recipe: Recipe | None, images: Images) -> None:
    """Refuse a graph that should not be run here, without running it.

    Args:
        graph: Of a stranger.
        recipe: Theirs; without one, batches of the default size are looked at.
        images: What it is trained on; the last batch is what remains of them.

    Raises:
        GradingError: It uses an operation that is not on the list, or needs too much.
    """
    for program in (graph.train, graph.eval):
        for node in program.nodes:
            _require_tame(node)
    with warnings.catch_warnings(), torch.no_grad(), FakeTensorMode():
        warnings.simplefilter("ignore")
        tensors = {s.name: torch.empty(s.data.shape, dtype=s.data.dtype) for s in graph.stored}
        for training, program in ((True, graph.train), (False, graph.eval)):
            sizes = batch_sizes(recipe, images, training=training)
            tried = () if training else _BATCHES
            wanted = sorted({*sizes, *(min(size, LARGEST_BATCH) for size in sizes), *tried})
            if _grows_evenly(program):  # and the limit is a line: what holds at both ends holds
                wanted = [wanted[0], wanted[-1]]
            for size in wanted:
                count = size in (wanted[0], wanted[-1])
                numbers = _require_small(program, tensors, size, images, count_work=count)
                if training and numbers * _KEPT > WORKER_MEMORY:
                    raise GradingError(
                        f"a batch of {size:,} images computes {numbers:,} numbers, and training "
                        f"keeps them: more than the {WORKER_MEMORY:,} bytes of a worker.",
                        "A smaller batch_size, or fewer channels, needs less.",
                    )


def _grows_evenly(program: Program) -> bool:
    """Whether what a program computes is a convex function of the size of the batch.

    It is where sizes do nothing but shape tensors: each extent is then a power of the batch.
    """
    sizes: set[str] = set()
    for node in program.nodes:
        if node.op.startswith("aten.sym_size"):
            sizes.update(node.outputs)
        elif node.op.startswith("py.") or (
            sizes.intersection(node.reads()) and node.op.split(".")[1] not in _SHAPING
        ):
            return False
    return True


def _stored(graph: Graph) -> int:
    """Numbers that are surely stored: whatever is done with them, they can't be fewer."""
    return sum(s.data.numel() for s in graph.stored if s.role is Role.PARAMETER)


def admit_recipe(recipe: Recipe) -> None:
    """Refuse a recipe whose batches or augmentation would not fit in memory.

    Raises:
        GradingError: The message names the part.
    """
    if recipe.batch_size > MAX_BATCH:
        raise GradingError(
            f"batches of {recipe.batch_size:,} images; at most {MAX_BATCH:,} are trained here."
        )
    if len(recipe.augment) > MAX_AUGMENTATIONS:
        raise GradingError(f"{len(recipe.augment)} augmentations; at most {MAX_AUGMENTATIONS}.")
    for part in recipe.augment:
        match part:
            case RandomCrop(padding=size) | RandomErasing(pixels=size) | Shift(pixels=size):
                if size > MAX_PIXELS:
                    name = type(part).__name__
                    raise GradingError(
                        f"{name} of {size:g} pixels; at most {MAX_PIXELS} make sense."
                    )


def _require_tame(node: Node) -> None:
    namespace, name, *rest = node.op.split(".")
    if namespace == "aten":
        known = name in ALLOWED or (name.endswith("_") and name[:-1] in ALLOWED)
        if not known or any(o == "out" or o.endswith("_out") for o in rest):
            raise GradingError(
                f"forward uses {name}, which is not on the list of operations that the judge runs.",
                "A person can look at it, and the list can grow.",
            )
    equation = _EQUATION if node.op.startswith("aten.einsum.") else _NO_EQUATION
    for literal in _literals((node.args, tuple(node.kwargs.values()))):
        if isinstance(literal, str) and literal not in _WORDS and not equation.fullmatch(literal):
            raise GradingError(f"{node.op} has the argument {literal!r:.40}, which is not known.")
        if isinstance(literal, int) and abs(literal) >= 2**63:
            raise GradingError(f"{node.op} has a number of more than 64 bits.")


def _literals(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple):
        for item in value:
            yield from _literals(item)
    else:
        yield value


def _require_small(
    program: Program, tensors: dict[str, Tensor], batch: int, images: Images, *, count_work: bool
) -> int:
    """Run a program on fake images; how many numbers it would compute.

    Counting the work costs as much as the run itself, so it is done for some sizes alone.
    """
    counting = FlopCounterMode(display=False) if count_work else None
    with counting or nullcontext():
        image = torch.empty((batch, *images.size))
        numbers = 0
        try:
            for node, parts in steps(program, tensors, image):
                for part in parts:
                    if isinstance(part, Tensor):
                        numbers += part.numel()
                    else:
                        _require_tame_size(node, part)
                if numbers > MAX_FIXED + batch * MAX_NUMBERS:
                    raise GradingError(
                        f"forward computes more than {MAX_NUMBERS:,} numbers for an image."
                    )
        except GradingError:
            raise
        except Exception as error:  # whatever an operation says of shapes that do not fit
            if batch == 1:
                return 0  # a norm of one value an image: the check of the shapes tells it
            raise GradingError(
                f"the graph can't run on a batch of {batch}: {type(error).__name__}: "
                f"{message_line(error)[:200]}"
            ) from error
        work = 0 if counting is None else counting.get_total_flops() // batch
    if work > _FACTOR * MAX_WORK:
        raise GradingError(f"an image takes {work:,} multiplications and additions.")
    return numbers


def _require_tame_size(node: Node, value: object) -> None:
    if isinstance(value, (int, float)) and abs(value) >= 2**62:
        raise GradingError(f"{node.op} gives a size beyond all use.")
