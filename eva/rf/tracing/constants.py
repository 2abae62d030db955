"""What is known of the numbers of constants: zeros in masks, places in index tensors.

A forward pass runs on tensors without numbers. But a mask, a kernel with holes or a table of
indices is made of constants alone, so its numbers can be known: each constant has a twin with
numbers, and what makes a constant of constants makes a twin of twins. A parameter's twin has random
numbers, none of them zero, because a parameter can learn: where the twin of a masked weight is
zero, no parameters make it anything else.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes

TWIN = "_eva_twin"  # attribute of a constant tensor: its Twin, or None where nothing is known
LARGEST = 1 << 20  # numbers of a constant that are followed
CONSTANTS_BUDGET = 1 << 26  # numbers of all constants of one forward pass
SHIFTS = 1 << 12  # parameters that get different random numbers


class Twin(NamedTuple):
    """Numbers of a constant.

    Args:
        numbers: On the CPU; None where it is only known that some may be zero.
        learned: They hang on random numbers in place of parameters.
    """

    numbers: Tensor | None
    learned: bool = False


UNSURE = Twin(None, True)

# Of numbers that hang on parameters: these keep what is zero, whatever the parameters are.
SMOOTH = {
    "view", "_unsafe_view", "reshape", "_reshape_alias", "squeeze", "unsqueeze", "permute", "t",
    "transpose", "expand", "slice", "select", "clone", "detach", "alias", "flip", "roll",
    "repeat", "lift_fresh", "unbind", "split", "split_with_sizes", "cat", "stack", "tril", "triu",
    "diagonal", "_to_copy", "neg", "abs", "sqrt", "rsqrt", "square", "sign", "exp", "sigmoid",
    "tanh", "softplus", "reciprocal", "mul", "div", "add", "sub", "rsub", "pow", "sum", "mean",
    "var", "std", "mm", "bmm", "addmm", "linalg_vector_norm", "norm", "_softmax",
    "constant_pad_nd", "masked_fill", "where", "index", "index_select", "index_put", "copy",
    "fill", "zero", "_weight_norm_interface", "mv", "_unsafe_index_put", "diag_embed", "unfold",
    "gelu", "silu", "var_mean", "rot90", "repeat_interleave",
}  # fmt: skip
# Of numbers that hang on parameters: what comes out may be zero or not, as the parameters are.
CHOOSING = {
    "gt",
    "ge",
    "lt",
    "le",
    "eq",
    "ne",
    "heaviside",
    "topk",
    "sort",
    "argsort",
    "hardshrink",
}
LIKE = {"ones_like", "zeros_like", "full_like", "new_ones", "new_zeros", "new_full"}
FRESH = {"empty", "new_empty", "empty_like", "empty_strided", "new_empty_strided"}


@functools.cache
def _random_numbers() -> Tensor:
    """Drawn once, for drawing them anew takes longer than all else that is done with a layer."""
    with _disable_current_modes():
        generator = torch.Generator().manual_seed(0)
        return torch.rand(LARGEST + SHIFTS, generator=generator) + 0.5


class Constants:
    """The twins of one forward pass.

    Args:
        own: The tensor of the model that a stand-in stands for; None for any other.
    """

    def __init__(self, own: Callable[[Tensor], Tensor | None]) -> None:
        self.own = own
        self.left = CONSTANTS_BUDGET
        self.drawn = 0

    def twin(self, tensor: Tensor) -> Twin | None:
        """What is known of a constant; None if nothing, so that nothing is taken to be zero."""
        if not hasattr(tensor, TWIN):
            setattr(tensor, TWIN, self._first(tensor))
        found: Twin | None = getattr(tensor, TWIN)
        return found

    def _first(self, tensor: Tensor) -> Twin | None:
        """Of a parameter, a buffer, or a tensor from outside, when it is first met."""
        real = self.own(tensor)
        if real is None:
            real = tensor
        if not self._fits(real):
            return None
        with _disable_current_modes():
            if isinstance(real, nn.Parameter) and real.is_floating_point():
                return Twin(self._stand_in(real), True)
            if real.device.type == "meta":
                return None
            numbers = real.detach().cpu().clone()
            unwritten = real is not tensor and numbers.ndim > 0 and not bool(numbers.any())
            return None if unwritten else Twin(numbers)

    def _stand_in(self, parameter: Tensor) -> Tensor:
        """Random numbers between a half and one and a half: other ones for each parameter."""
        self.drawn = (self.drawn + 1) % SHIFTS
        part = _random_numbers().narrow(0, self.drawn, parameter.numel())
        return part.to(parameter.dtype, copy=True).view(parameter.shape)

    def _fits(self, tensor: Tensor) -> bool:
        if tensor.is_nested or tensor.layout != torch.strided or tensor.is_quantized:
            return False
        return 0 < tensor.numel() <= min(LARGEST, self.left)

    def follow(
        self, func: Any, name: str, args: Any, kwargs: Mapping[str, Any], results: list[Tensor]
    ) -> None:
        """Give the results of an operation on constants their twins.

        Args:
            func: The operation.
            name: Its name, such as ``aten.mul``.
            args: As it was called.
            kwargs: Likewise.
            results: What it returned; a tensor that it wrote into keeps its twin, written into.
        """
        short = name.removeprefix("aten.")
        given = [t for v in (*args, *kwargs.values()) for t in _tensors(v)]
        found: list[Twin | None] = [None] * len(results)
        small = sum(r.numel() for r in results) <= min(LARGEST, self.left)
        if small and short not in FRESH and torch.Tag.nondeterministic_seeded not in func.tags:
            found = self._twins(func, short, args, kwargs, given, len(results))
        for result, twin in zip(results, found, strict=True):
            numbers = None if twin is None else twin.numbers
            if numbers is not None:
                self.left -= numbers.numel()
                if numbers.shape != result.shape:
                    twin = UNSURE
            setattr(result, TWIN, twin)

    def _twins(
        self,
        func: Any,
        short: str,
        args: Any,
        kwargs: Mapping[str, Any],
        given: list[Tensor],
        count: int,
    ) -> list[Twin | None]:
        twins = [self.twin(t) for t in given]
        if any(t is None for t in twins):
            return [None] * count
        known = [t for t in twins if t is not None]
        learned = short not in LIKE and any(t.learned for t in known)
        if any(t.numbers is None for t in known):
            return [UNSURE] * count
        if learned and short not in SMOOTH:
            zero = any(bool((t.numbers == 0).any()) for t in known if t.numbers is not None)
            return [UNSURE if zero or short in CHOOSING else None] * count
        real = {k: torch.device("cpu") if k == "device" else v for k, v in kwargs.items()}
        try:
            with _disable_current_modes(), torch.no_grad():
                out = func(*_real(args, self), **_real(real, self))
        except Exception:
            return [UNSURE if known else None] * count
        return [Twin(t, learned) for t in _tensors(out)]

    def zeros(self, tensor: Tensor) -> Any:
        """Where a constant is zero: booleans of its shape.

        True if it may be zero somewhere and nobody knows where; None if nowhere.
        """
        if isinstance(tensor, nn.Parameter) and not hasattr(tensor, TWIN):
            return None
        twin = self.twin(tensor)
        if twin is None:
            return None
        if twin.numbers is None:
            return True
        if twin.numbers.ndim == 0 and not twin.learned:
            return None if bool(twin.numbers) else True
        found = (twin.numbers == 0).numpy()
        return found if found.any() else None

    def places(self, tensor: Tensor) -> Any:
        """The numbers of an index tensor as lists, if they are known and can't change."""
        twin = self.twin(tensor)
        if twin is None or twin.numbers is None or twin.learned:
            return None
        return twin.numbers.tolist()


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    return [t for v in value for t in _tensors(v)] if isinstance(value, (list, tuple)) else []


def _real(value: Any, constants: Constants) -> Any:
    """The arguments with twins in place of constants."""
    if isinstance(value, Tensor):
        twin = constants.twin(value)
        return None if twin is None else twin.numbers
    if isinstance(value, dict):
        return {k: _real(v, constants) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)([_real(v, constants) for v in value])
    return value
