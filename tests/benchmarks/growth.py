"""How the cost of an epoch grows with images, batch size and width, and how fast eva starts."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

from contestants import FLOOR, OURS, lowest, run, say
from peers.common import BATCH

GROWING = ("eva", "eva compiled")


def axes(images: int) -> dict[str, list[tuple[int, int, int]]]:
    """What is measured: (images, batch size, width), each of them grown in turn."""
    counts = [images * times // 16 for times in (1, 2, 4, 8, 16)]
    middle = counts[2]
    return {
        "images": [(count, BATCH, 1) for count in counts],
        "batch": [(middle, batch, 1) for batch in (32, 64, 128, 256, 512, 1024)],
        "width": [(middle, BATCH, width) for width in (1, 2, 3, 4)],
    }


def growth(chosen: argparse.Namespace, data: Path) -> dict[str, list[dict[str, float]]]:
    """Seconds of an epoch against images, batch size and width, beside the floor's."""
    known: dict[tuple[int, int], float] = {}
    rows: dict[str, list[dict[str, float]]] = {}
    for axis, points in axes(chosen.images).items():
        rows[axis] = []
        for n, batch, width in points:
            options = ["--threads", str(chosen.threads), "--batch", str(batch)]
            options += ["--width", str(width)]
            if (batch, width) not in known:
                lines, _ = run(FLOOR, chosen.peers_python, data, *options, "--steps", "12")
                known[batch, width] = lowest({line["variant"]: line["seconds"] for line in lines})
            row = {"images": n, "batch": batch, "width": width}
            row["floor_seconds"] = -(-n // batch) * known[batch, width]
            for name in GROWING:
                more = ["--images", str(n), "--epochs", "3"]
                lines, _ = run(OURS[name], chosen.peers_python, data, *options, *more)
                row[name] = statistics.median(line["seconds"] for line in lines[2:])
            rows[axis].append(row)
            cells = ", ".join(f"{name} {value:.4g}" for name, value in row.items())
            say(f"  growth: {cells}")
    return rows


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
