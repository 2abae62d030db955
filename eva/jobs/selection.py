"""Which engine does the work, and how many tasks it does at once."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path

from eva.jobs.engine import Engine
from eva.jobs.plan import Plan

WORKER_MEMORY = 8_000_000_000  # bytes that a worker may take; what needs more is refused
TRAINING_MEMORY = 1.5e9  # bytes for a training at batch size 128: twice what it takes


class EngineName(StrEnum):
    """Where tasks run: in processes of this machine, or on a Ray cluster."""

    LOCAL = "local"
    RAY = "ray"


def select_engine(
    name: EngineName, plan: Plan, *, jobs: int = 1, address: str | None = None, gpus: float = 0.0
) -> Engine:
    """Start an engine for the tasks of a plan.

    Args:
        name: Which one.
        plan: What its workers do.
        jobs: Tasks at once.
        address: Where a Ray cluster is; None starts one on this machine.
        gpus: Share of a GPU that a training reserves on Ray.

    Raises:
        JobError: There is no job to do it with, no Ray, or no cluster at that address.
    """
    if name is EngineName.LOCAL:
        from eva.jobs.processes import LocalEngine

        return LocalEngine(plan, jobs=jobs)
    from eva.jobs.ray_cluster import RayEngine, Resources

    return RayEngine(plan, jobs=jobs, address=address, resources=Resources(gpus=gpus))


def default_jobs() -> int:
    """Cores that this process may use, or fewer where memory is short."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if "MemAvailable" in line)
    except (OSError, StopIteration, ValueError):  # not Linux: nothing is known
        return cores or 1
    return max(1, min(cores or 1, int(free / TRAINING_MEMORY)))
