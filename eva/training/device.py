"""Which device a model is on or goes to: the one place where a device is looked up."""

from __future__ import annotations

import torch
from torch import nn

from eva.errors import DeviceError


def select_device(name: str = "auto") -> torch.device:
    """Pick CUDA, then MPS, then the CPU for "auto"; else the device of that name.

    Raises:
        DeviceError: PyTorch knows no such device, or this machine has none, or it isn't the first.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise DeviceError(f"no device is called {name!r}.", "Use auto, cpu, cuda or mps.") from None
    available = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not available.get(device.type, False):
        raise DeviceError(
            f"device {name!r} was asked for, but PyTorch {torch.__version__} finds none here.",
            "Use --device auto or cpu.",
        )
    if device.index:  # graphs and kernels are made on the current device, which is the first
        raise DeviceError(
            f"eva runs on the first GPU that it sees, and {name!r} is another.",
            f"Set CUDA_VISIBLE_DEVICES={device.index} and use --device {device.type}.",
        )
    return device


def device_of(model: nn.Module) -> torch.device:
    """Where a model's parameters are; the CPU for a model without any."""
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
