"""The machine that a run runs on, as its record describes it."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from eva.record import DeviceInfo


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


def slow_in_bfloat16(device: torch.device) -> bool:
    """Whether this is an x86 processor without bfloat16 units, where float32 is faster."""
    if device.type != "cpu" or platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    return not (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def describe_versions() -> dict[str, str]:
    """Versions of everything that a result may depend on."""
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    for package in ("eva-course", "torch", "torchvision", "numpy"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # run from a checkout that was never installed
            versions[package] = "not installed"
    return versions


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
