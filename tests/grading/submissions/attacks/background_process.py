"""Leaves a process and a thread behind that go on working."""

import os
import threading
import time

from torch import nn

from eva import Recipe

threading.Thread(target=time.sleep, args=(10**6,)).start()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(10**6)
    os._exit(0)

RECIPE = Recipe()


def build_model() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
