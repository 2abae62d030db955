"""What is only seen where functions are called: recurrent layers, numbers that leave PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import _disable_current_modes

from eva.rf.tracing import recurrent

if TYPE_CHECKING:
    from eva.rf.tracing.recorder import Recorder

LEAVES = {"tolist", "item", "__float__", "__int__", "__bool__", "__index__", "__complex__"}
RESHAPES = {"view", "reshape"}
SHARES = {
    "numpy", "__array__", "__dlpack__", "to_dlpack", "_to_dlpack", "_to_dlpack_versioned",
    "untyped_storage", "_typed_storage", "storage", "data_ptr", "__reduce_ex__",
}  # fmt: skip


class Functions(TorchFunctionMode):
    """Sees each function of PyTorch that a forward pass calls, before its operations.

    Args:
        recorder: The recorder of the same pass.
    """

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self.recorder = recorder

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run the function; a recurrent layer as one operation."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in recurrent.NAMES and not kwargs and recurrent.is_padded(args):
            return self.recorder.recurrent(name, args, lambda: _plainly(func, args))
        given = args[0] if args and isinstance(args[0], torch.Tensor) else None
        if name == "__reduce_ex__" and given is not None:  # pickled without what we attach to it
            with _disable_current_modes():
                args = (given.detach(), *args[1:])
        out = func(*args, **kwargs)
        if name in LEAVES and given is not None:
            self.recorder.leave(given, name, decides=given.dtype is torch.bool)
        elif name in SHARES and given is not None:
            self.recorder.share(given, name)
        elif name in RESHAPES and given is not None and _may_join_images(given, out):
            self.recorder.ambiguous = True
        return out


def _may_join_images(before: torch.Tensor, after: torch.Tensor) -> bool:
    """Whether a reshape of one image in front could also put a whole batch behind a 1."""
    return (
        before.ndim > 1
        and after.ndim > 1
        and before.shape[0] == after.shape[0] == 1
        and (after.ndim == 2 or before.shape[1] != after.shape[1])
    )


def _plainly(func: Callable[..., Any], args: Any) -> Any:
    """What a function returns, with nobody watching."""
    with _disable_current_modes(), torch._C.DisableTorchFunction():
        return func(*args)
