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

LEAVES = {
    "numpy", "tolist", "item", "__array__", "__float__", "__int__", "__bool__", "__index__",
    "__complex__", "__dlpack__", "untyped_storage", "storage", "data_ptr",
}  # fmt: skip
DECIDES = {"__bool__"}


class Functions(TorchFunctionMode):
    """Sees each function of PyTorch that a forward pass calls, before its operations.

    Args:
        recorder: Of the same pass.
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
        out = func(*args, **kwargs)
        if name in LEAVES and args and isinstance(args[0], torch.Tensor):
            self.recorder.leave(args[0], name, decides=args[0].dtype is torch.bool)
        return out


def _plainly(func: Callable[..., Any], args: Any) -> Any:
    """What a function returns, with nobody watching."""
    with _disable_current_modes(), torch._C.DisableTorchFunction():
        return func(*args)
