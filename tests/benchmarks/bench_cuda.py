"""Training on a GPU: 15 epochs cold and warm, what our kernels bring, and the peers beside it.

    python tests/benchmarks/bench_cuda.py [--seeds 10] [--peers pytorch,keras]

Experiment 5 on full MNIST. Cold is a process of its own, from its start to its end, that has to
compile its kernels; the first also lacks Python's byte code, which pip makes as it installs; a
restart finds the kernels compiled. Warm is a training after another one in the same process, from
the making of the trainer to the last evaluation. Peers run two epochs, of which the second is
quoted. The record, docs/records/benchmarks/cuda.json, is written after every part, so that an end
before time loses little.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from contestants import (
    PEERS,
    ROOT,
    Contestant,
    Skipped,
    choose,
    conditions,
    keep,
    run,
    say,
    unpack,
)
from growth import Measure, growth
from peers.common import BATCH, network
from peers.floor import make_step, seconds_of_a_step
from torch import Tensor

from eva.data import Dataset, load_data
from eva.data.mnist_files import fetch, find
from eva.experiments.exp5 import RECIPE, build_model
from eva.kernels.gpu_dispatch import small_convolutions
from eva.training.trainer import Trainer

OUT = ROOT / "docs" / "records" / "benchmarks" / "cuda.json"
CUDA = torch.device("cuda")
WORKERS = 8  # of a peer that has worker processes
CHANNELS = (4, 8, 16, 32, 64)
STEPS = 300


def cold(folder: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds of `eva train`: first, with neither byte code nor kernels; then without kernels."""
    command = [sys.executable, "-m", "eva", "train", "eva.experiments.exp5", "--data", "mnist"]
    seconds: dict[str, list[float]] = {"first": [], "cold": [], "restart": []}
    with tempfile.TemporaryDirectory() as scratch:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": scratch}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for number, name in enumerate(["first", *["cold", "restart"] * rounds]):
            if name != "restart":
                environment["TRITON_CACHE_DIR"] = f"{scratch}/kernels {number}"
            more = ["--data-dir", str(folder), "--out", f"{scratch}/run {number}"]
            started = time.perf_counter()
            subprocess.run([*command, *more], env=environment, check=True, capture_output=True)
            seconds[name].append(time.perf_counter() - started)
            say(f"{name}: {seconds[name][-1]:.2f} s")
    return seconds


def warm(data: Dataset, seeds: int, *, bf16: bool) -> list[dict[str, Any]]:
    """Trainings one after the other; the first, which warms up, is left out."""
    rows = []
    for seed in (0, *range(seeds)):
        started = time.perf_counter()
        result = Trainer(build_model(), RECIPE, data, device="cuda", seed=seed, bf16=bf16).fit()
        row = {
            "seed": seed,
            "seconds": time.perf_counter() - started,
            "seconds_train": sum(epoch.seconds_train for epoch in result.rows),
            "seconds_test": sum(epoch.seconds_test for epoch in result.rows),
            "test_accuracy": [epoch.test_accuracy for epoch in result.rows],
        }
        say(f"seed {seed}: {row['seconds']:.2f} s, {row['test_accuracy'][-1]:.2f} %")
        rows.append(row)
    return rows[1:]


def step_seconds(
    batch: int = BATCH, width: int = 1, *, precisions: tuple[bool, ...] = (False, True)
) -> dict[str, float]:
    """Of a captured step on one fixed batch, by what computes it."""
    found = {}
    for bf16 in precisions:
        for name, ours in (("cuDNN", False), ("our kernels", True)):
            model = network(width).to(CUDA, memory_format=torch.channels_last)
            context = small_convolutions(CUDA) if ours else nullcontext()

            def forward(images: Tensor, model: Any = model, context: Any = context) -> Tensor:
                with context:
                    return model(images)

            step = make_step(model, forward, torch.randn(batch, 1, 28, 28, device=CUDA), bf16)
            found[name + ", bf16" * bf16] = seconds_of_a_step(step, STEPS)
    return found


def beside_the_floor(data: Dataset) -> Measure:
    """Seconds of an epoch, and of the floor: the faster of the captured steps in float32."""

    def measure(images: int, batch: int, width: int) -> dict[str, float]:
        few = replace(
            data,
            train_images=data.train_images[:images],
            train_labels=data.train_labels[:images],
        )
        recipe = RECIPE.model_copy(update={"batch_size": batch, "epochs": 3})
        epochs = Trainer(network(width), recipe, few, device="cuda").fit().rows
        floor = min(step_seconds(batch, width, precisions=(False,)).values())
        return {
            "floor_seconds": -(-images // batch) * floor,
            "eva": min(epoch.seconds_train + epoch.seconds_test for epoch in epochs[1:]),
        }

    return measure


def convolution_seconds() -> list[dict[str, float]]:
    """Of a 3x3 convolution and its gradients, from so many channels to as many."""
    from eva.kernels.gpu_kernels import Convolution

    rows = []
    for channels in CHANNELS:
        x, weight = (
            torch.randn(shape, device=CUDA).to(memory_format=torch.channels_last).requires_grad_()
            for shape in ((BATCH, channels, 26, 26), (channels, channels, 3, 3))
        )
        row: dict[str, float] = {"channels": channels}
        for name, convolve in (("cudnn", F.conv2d), ("ours", Convolution.apply)):

            def step(x: Tensor = x, weight: Tensor = weight, convolve: Any = convolve) -> None:
                y = convolve(x, weight, None if convolve is F.conv2d else 0)
                torch.autograd.grad(y, (x, weight), torch.ones_like(y))

            row[name] = seconds_of_a_step(step, STEPS)
        say(f"{channels} channels: cuDNN {1e6 * row['cudnn']:.0f}, ours {1e6 * row['ours']:.0f} us")
        rows.append(row)
    return rows


def peer(one: Contestant, python: Path, data: Path) -> dict[str, Any]:
    """Two epochs; the first warms up."""
    workers = WORKERS if "--workers" in one.options else 0
    options = [*("--bf16" for _ in range(one.bf16)), "--workers", str(workers), "--epochs", "2"]
    (head, *epochs), _ = run(Contestant(module=one.module), python, data, *options)
    say(f"{one.module}, {workers} workers: {epochs[-1]['seconds']:.2f} s an epoch")
    return {
        "epoch_seconds": epochs[-1]["seconds"],
        "test_accuracy": epochs[-1]["test_accuracy"],
        "workers": workers,
        "versions": head["versions"],
    }


def main() -> None:
    """Run all parts, and write the record after each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3, help="Of cold start and restart.")
    parser.add_argument("--peers", help=f"Default: {', '.join(PEERS)}.")
    parser.add_argument("--data-dir")
    parser.add_argument("--peers-python", type=Path, default=ROOT / ".venv-bench/bin/python")
    parser.add_argument("--out", type=Path, default=OUT)
    chosen = parser.parse_args()
    if not torch.cuda.is_available():
        say("no GPU that PyTorch can use: training on one is not measured")
        return
    skipped: dict[str, str] = {}
    peers = choose(chosen.peers, skipped)
    record = conditions("bench_cuda.py", CUDA) | {"peers": {}, "skipped": skipped}
    record["versions"]["cuda"] = torch.version.cuda

    write = partial(keep, record, chosen.out)
    folder = find(chosen.data_dir) or fetch()
    with tempfile.TemporaryDirectory() as scratch:
        data = unpack(folder, Path(scratch))
        write(**cold(folder, chosen.rounds))
        mnist = load_data("mnist", folder)
        write(warm=warm(mnist, chosen.seeds, bf16=False))
        write(step=step_seconds())
        write(warm_bf16=warm(mnist, 2, bf16=True))
        write(convolutions=convolution_seconds())
        write(growth=growth(len(mnist.train_labels), beside_the_floor(mnist)))
        for name, one in peers.items():
            try:
                label = name.replace("2 workers", f"{WORKERS} workers")
                record["peers"][label] = peer(one, chosen.peers_python, data)
            except Skipped as error:
                skipped[name] = str(error)
                say(f"skipped {name}: {error}")
            write()
    seconds = statistics.median(row["seconds"] for row in record["warm"])
    say(f"15 epochs: {seconds:.2f} s warm, {statistics.median(record['cold']):.2f} s cold")
    for name, row in record["peers"].items():
        say(f"{name} takes {15 * row['epoch_seconds'] / seconds:.0f} times as long")


if __name__ == "__main__":
    main()
