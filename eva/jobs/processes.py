"""An engine of processes on this machine; a lost worker costs only time."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path

from eva.errors import JobError
from eva.jobs.engine import ATTEMPTS, Answer, Job, answer_of, lost_answer
from eva.jobs.plan import Plan, Task
from eva.json_types import Json


class _Worker:
    """A process of ``eva.jobs.worker`` and the thread that listens to it."""

    def __init__(self, plan: Plan, inbox: queue.SimpleQueue[tuple[_Worker, bytes]]) -> None:
        package = str(Path(__file__).parents[2])
        paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
        }
        self.job: Job | None = None
        # -P: a file torch.py where the instructor stands is a student's, not PyTorch.
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "eva.jobs.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        self.send(plan.to_json().encode())
        self._listener = threading.Thread(target=self._listen, args=(inbox,), daemon=True)
        self._listener.start()

    def send(self, line: bytes) -> None:
        assert self.process.stdin is not None, "it was opened with a pipe"
        with suppress(BrokenPipeError):  # where it is dead, the listener reports that
            self.process.stdin.write(line + b"\n")
            self.process.stdin.flush()

    def _listen(self, inbox: queue.SimpleQueue[tuple[_Worker, bytes]]) -> None:
        assert self.process.stdout is not None, "it was opened with a pipe"
        with self.process.stdout as answers:
            for line in answers:
                inbox.put((self, line))
        self.process.wait()
        inbox.put((self, b""))

    def end(self) -> None:
        """Kill it and wait until it is gone."""
        self.process.kill()
        self.process.wait()
        self._listener.join()
        assert self.process.stdin is not None, "it was opened with a pipe"
        with suppress(BrokenPipeError):
            self.process.stdin.close()


class LocalEngine:
    """Worker processes on this machine.

    Args:
        plan: What workers do.
        jobs: How many of them.

    Raises:
        JobError: It would be none.
    """

    def __init__(self, plan: Plan, *, jobs: int = 1) -> None:
        if jobs < 1:
            raise JobError(f"{jobs} jobs can't work; at least 1 is needed.")
        self.slots = jobs
        self._plan = plan
        self._workers: list[_Worker] = []
        self._waiting: deque[Job] = deque()
        self._inbox: queue.SimpleQueue[tuple[_Worker, bytes]] = queue.SimpleQueue()

    def submit(self, name: str, task: Task) -> None:
        """See :class:`eva.jobs.engine.Engine`."""
        self._waiting.append(Job(name=name, task=task))
        self._start()

    def wait(self, seconds: float) -> list[Answer]:
        """See :class:`eva.jobs.engine.Engine`."""
        answers: list[Answer] = []
        end = time.monotonic() + seconds
        while not answers and (left := end - time.monotonic()) > 0:
            self._give_up_hanging()
            try:
                worker, line = self._inbox.get(timeout=min(left, 1.0))
            except queue.Empty:
                continue
            answer = self._hear(worker, line)
            if answer is not None:
                answers.append(answer)
            self._start()
        return answers

    def close(self) -> None:
        """See :class:`eva.jobs.engine.Engine`."""
        for worker in self._workers:
            worker.end()
        self._workers.clear()

    def _start(self) -> None:
        """Give waiting tasks to idle workers, of which there may be more."""
        while self._waiting:
            idle = [worker for worker in self._workers if worker.job is None]
            if not idle:
                if len(self._workers) >= self.slots:
                    return
                idle = [_Worker(self._plan, self._inbox)]
                self._workers += idle
            job = self._waiting.popleft()
            job.attempts += 1
            job.started = time.monotonic()
            idle[0].job = job
            line: dict[str, Json] = {"id": job.name, **job.task}
            idle[0].send(json.dumps(line).encode())

    def _hear(self, worker: _Worker, line: bytes) -> Answer | None:
        job = worker.job
        try:
            value = json.loads(line) if line else None
        except ValueError:
            value = None
        if worker not in self._workers:
            return None  # the last words of one that was given up
        if isinstance(value, dict) and job is not None and value.get("id") == job.name:
            worker.job = None
            return answer_of(job.name, value, time.monotonic() - job.started)
        worker.end()
        self._workers.remove(worker)
        if job is None:
            return None
        if job.attempts < ATTEMPTS:
            self._waiting.appendleft(job)
            return None
        return lost_answer(job.name)

    def _give_up_hanging(self) -> None:
        now = time.monotonic()
        for worker in self._workers:
            job = worker.job
            if job is not None and now - job.started > self._plan.kind(job.task).seconds:
                worker.process.kill()  # the listener reports its end
