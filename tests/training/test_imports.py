"""What is imported when: nothing for drawing or compiling, and nothing that only Linux has."""

from __future__ import annotations

import subprocess
import sys

MODULES = (
    "eva.training.trainer, eva.training.lr_finder, eva.recipe, eva.data, eva.record, "
    "eva.submission, eva.kernels.compile, eva.kernels.cpu_kernels, eva.kernels.gpu_dispatch"
)


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_importing_the_trainer_imports_neither_pyplot_nor_the_compiler() -> None:
    heavy = "{'matplotlib.pyplot', 'torch._dynamo', 'torch._inductor', 'torchvision'}"
    done = run(f"import sys, {MODULES}; print(sorted({heavy} & set(sys.modules)))")
    assert done.stdout.strip() == "[]", done.stderr


def test_a_training_runs_where_there_is_no_posix() -> None:
    code = f"""
import importlib.abc, os, sys

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name in ("fcntl", "resource", "pwd", "grp", "termios"):
            raise ModuleNotFoundError(name)

for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Missing())
import torch  # PyTorch's own imports are not ours to change
for name in ("fork", "sched_getaffinity", "register_at_fork"):
    if hasattr(os, name):
        delattr(os, name)
import {MODULES}
from eva.data import Dataset
from eva.recipe import Recipe
from torch import nn
images = torch.zeros(40, 1, 28, 28, dtype=torch.uint8)
labels = torch.arange(40) % 10
data = Dataset(name="x", train_images=images, train_labels=labels, test_images=images,
               test_labels=labels)
model = nn.Sequential(nn.Conv2d(1, 10, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
run = eva.training.trainer.Trainer(model, Recipe(epochs=1), data, device="cpu").fit()
print(run.status)
"""
    done = run(code)
    assert done.stdout.strip() == "finished", done.stderr
