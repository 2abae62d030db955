"""Holds on to life as well as it can."""

import signal
import time

from torch import nn

from eva import Recipe

for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_IGN)
time.sleep(10**6)

RECIPE = Recipe()


def build_model() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
