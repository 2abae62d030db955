"""A worker of the local engine: tasks as JSON lines on stdin, answers on stdout.

It ends when its stdin does, so that nothing survives a coordinator that was killed.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import threading
from typing import Any


def main() -> None:
    """Work until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the coordinator's affair
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever prints can't disturb the answers
    source = os.fdopen(os.dup(0), "rb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    plan = source.readline().decode().strip()
    tasks: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def read() -> None:
        for line in source:
            tasks.put(json.loads(line))
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()

    import torch

    from eva.jobs.plan import perform

    torch.set_num_threads(1)  # a sum's order, and so a grade, must not depend on the machine
    while True:
        task = tasks.get()
        answer = {"id": task.pop("id")} | perform(plan, task)
        answers.write(json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    main()
