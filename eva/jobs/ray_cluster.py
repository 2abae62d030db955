"""The same tasks on a Ray cluster; an extra, ``pip install 'eva-course[cluster]'``.

Retrying is ours and not Ray's, so that it counts and reports as on one machine, and results come
back as JSON text into the one journal: a node that dies takes along only what it was doing.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from typing import Any

from eva.errors import JobError
from eva.jobs.engine import ATTEMPTS, Answer, Job, answer_of, lost_answer
from eva.jobs.plan import Plan, Task, perform


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a task reserves on a node.

    Attributes:
        cpus: How many each task takes.
        gpus: How many a training takes; a fraction lets several share one.
    """

    cpus: float = 1.0
    gpus: float = 0.0


class RayEngine:
    """Tasks on a Ray cluster, which is joined here and left in ``close``.

    Args:
        plan: What workers do; its config travels to them, so the cluster must be your own.
        jobs: How many tasks are in flight at most.
        address: Where the cluster's head is, or "auto"; None starts a cluster on this machine.
        resources: What a task takes.

    Raises:
        JobError: Ray is not installed, or there is no cluster at that address.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        jobs: int = 1,
        address: str | None = None,
        resources: Resources | None = None,
    ) -> None:
        try:
            import ray
        except ImportError as error:
            raise JobError(
                "Ray is not installed.", "Run `pip install 'eva-course[cluster]'`."
            ) from error
        self.slots = jobs
        self._ray: Any = ray
        self._plan = plan
        self._resources = resources or Resources()
        variables = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        if "PYTHONPATH" in os.environ:
            variables["PYTHONPATH"] = os.environ["PYTHONPATH"]
        try:
            self._left_to_others = bool(ray.is_initialized())
            if not self._left_to_others:
                ray.init(
                    address=address,
                    runtime_env={"env_vars": variables},
                    log_to_driver=False,
                    configure_logging=False,
                )
        except Exception as error:  # whatever Ray's many layers raise
            raise JobError(
                f"there is no Ray cluster at {address}: {type(error).__name__}: {error}",
                "`ray status` on the head shows it; --address auto finds the one of this machine.",
            ) from error
        self._function = ray.remote(_remote)
        self._jobs: dict[Any, Job] = {}

    def submit(self, name: str, task: Task) -> None:
        """See :class:`eva.jobs.engine.Engine`."""
        self._start(Job(name=name, task=task))

    def wait(self, seconds: float) -> list[Answer]:
        """See :class:`eva.jobs.engine.Engine`."""
        if not self._jobs:
            return []
        done, _ = self._ray.wait(list(self._jobs), num_returns=1, timeout=seconds)
        answers = [answer for ref in done if (answer := self._hear(ref)) is not None]
        now = time.monotonic()
        for ref, job in list(self._jobs.items()):
            if now - job.started > self._plan.kind(job.task).seconds:
                self._ray.cancel(ref, force=True)
        return answers

    def close(self) -> None:
        """See :class:`eva.jobs.engine.Engine`."""
        for ref in self._jobs:
            self._ray.cancel(ref, force=True)
        self._jobs.clear()
        if not self._left_to_others:
            self._ray.shutdown()

    def _start(self, job: Job) -> None:
        job.attempts += 1
        job.started = time.monotonic()
        ref = self._function.options(
            num_cpus=self._resources.cpus,
            num_gpus=self._resources.gpus if self._plan.kind(job.task).trains else 0,
            max_retries=0,
        ).remote(self._plan.to_json(), json.dumps(job.task))
        self._jobs[ref] = job

    def _hear(self, ref: Any) -> Answer | None:
        job = self._jobs.pop(ref)
        try:
            value = json.loads(self._ray.get(ref))
        except (self._ray.exceptions.RayError, ValueError) as error:
            if job.attempts < ATTEMPTS:
                self._start(job)
                return None
            return lost_answer(job.name, type(error).__name__)
        return answer_of(job.name, value, time.monotonic() - job.started)


def _remote(plan: str, task: str) -> str:
    """Runs in a worker of Ray, which keeps what :func:`perform` loads for its next task."""
    import torch

    torch.set_num_threads(1)  # a sum's order, and so a grade, must not depend on the machine
    return json.dumps(perform(plan, json.loads(task)))
