"""Devices: which one to use, what to write about it in a record, how to time and seed it."""

from __future__ import annotations

import ctypes
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from eva.errors import DeviceError
from eva.record import DeviceInfo

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # as in malloc.h
HEAP_BLOCK = 2**30  # bytes; larger blocks are mapped all the same


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


def describe_device(device: torch.device, *, bf16: bool, compiled: bool) -> DeviceInfo:
    """What a record says about where a run ran."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_name()
    return DeviceInfo(
        type=device.type,
        name=name,
        threads=torch.get_num_threads(),
        precision="bfloat16" if bf16 else "float32",
        compiled=compiled,
    )


def describe_versions() -> dict[str, str]:
    """Versions of everything that a result may depend on."""
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    for package in ("eva-course", "torch", "torchvision", "numpy"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # run from a checkout that was never installed
            versions[package] = "not installed"
    return versions


class Stopwatch:
    """Add up the time between laps by what was done, without making a GPU wait."""

    def __init__(self, device: torch.device) -> None:
        self.seconds: dict[str, float] = {}
        self._cuda = device.type == "cuda"
        self._laps: list[tuple[str, torch.cuda.Event]] = []
        self._last = time.perf_counter()
        if self._cuda:
            self._start = self._event()

    def lap(self, what: str) -> None:
        """Book the time since the last lap under ``what``."""
        if self._cuda:
            self._laps.append((what, self._event()))
            return
        now = time.perf_counter()
        self.seconds[what] = self.seconds.get(what, 0.0) + now - self._last
        self._last = now

    def stop(self) -> None:
        """Wait for the device and sum the laps up."""
        if not self._cuda:
            return
        torch.cuda.synchronize()
        before = self._start
        for what, event in self._laps:
            milliseconds = before.elapsed_time(event)
            self.seconds[what] = self.seconds.get(what, 0.0) + milliseconds / 1000
            before = event

    @staticmethod
    def _event() -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record()
        return event


def allocate_from_heap() -> None:
    """Have glibc take large blocks from its heap in this process; without glibc nothing happens.

    By default it maps each block over 128 kB anew, at the start of a page. In about half of all
    processes the buffers of a training step then lie so that the same step takes up to 1.8 times
    as long; from the heap, few do. It is the backward pass of BatchNorm that is slow then, so a
    compiled run, whose passes are its own, is spared.

    References:
        mallopt(3), M_MMAP_THRESHOLD and M_TRIM_THRESHOLD.
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        for parameter in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD):
            mallopt(parameter, HEAP_BLOCK)


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
