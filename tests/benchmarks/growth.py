"""How the cost of an epoch grows with images, batch size and width, and how fast eva starts."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from contestants import FLOOR, OURS, lowest, run, say
from peers.common import BATCH

GROWING = ("eva", "eva compiled")

Measure = Callable[[int, int, int], dict[str, float]]  # of so many images, batch size, width


def growth(images: int, measure: Measure) -> dict[str, list[dict[str, float]]]:
    """What is measured as images, batch size and width grow in turn."""
    counts = [images * times // 16 for times in (1, 2, 4, 8, 16)]
    middle = counts[2]
    axes = {
        "images": [(count, BATCH, 1) for count in counts],
        "batch": [(middle, batch, 1) for batch in (32, 64, 128, 256, 512, 1024)],
        "width": [(middle, BATCH, width) for width in (1, 2, 3, 4)],
    }
    rows: dict[str, list[dict[str, float]]] = {}
    for axis, points in axes.items():
        rows[axis] = []
        for count, batch, width in points:
            row = {"images": count, "batch": batch, "width": width}
            row |= measure(count, batch, width)
            rows[axis].append(row)
            cells = ", ".join(f"{name} {value:.4g}" for name, value in row.items())
            say(f"  growth: {cells}")
    return rows


def beside_the_floor(chosen: argparse.Namespace, data: Path) -> Measure:
    """Seconds of an epoch on a CPU, each in a process of its own, and of the floor."""

    @cache
    def floor(batch: int, width: int) -> float:
        sizes = ["--batch", str(batch), "--width", str(width)]
        lines, _ = run(FLOOR, chosen.peers_python, data, *threads, *sizes, "--steps", "12")
        return lowest({line["variant"]: line["seconds"] for line in lines})

    def measure(images: int, batch: int, width: int) -> dict[str, float]:
        found = {"floor_seconds": -(-images // batch) * floor(batch, width)}
        sizes = ["--images", str(images), "--batch", str(batch), "--width", str(width)]
        for name in GROWING:
            options = [*threads, *sizes, "--epochs", "3"]
            lines, _ = run(OURS[name], chosen.peers_python, data, *options)
            found[name] = statistics.median(line["seconds"] for line in lines[2:])
        return found

    threads = ["--threads", str(chosen.threads)]
    return measure


def start_up(rounds: int) -> dict[str, float]:
    """Milliseconds, medians: ``import eva`` where torch is there already, and ``eva --help``."""
    timed = (
        "import time, torch; t = time.perf_counter(); {}; print(1000 * (time.perf_counter() - t))"
    )
    clock = {
        "import eva beyond torch": timed.format("import eva"),
        "eva.Trainer beyond torch": timed.format("import eva; eva.Trainer"),
    }
    times: dict[str, list[float]] = {name: [] for name in (*clock, "eva --help")}
    for _ in range(rounds + 1):
        for name, code in clock.items():
            done = subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, check=True
            )
            times[name].append(float(done.stdout))
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "eva", "--help"], capture_output=True, check=True)
        times["eva --help"].append(1000 * (time.perf_counter() - started))
    return {name: statistics.median(values[1:]) for name, values in times.items()}
