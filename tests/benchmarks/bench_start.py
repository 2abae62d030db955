"""How long a command waits before it works, as whole processes beside a bare ``import torch``.

    python tests/benchmarks/bench_start.py [--rounds 10]

Prints the medians and writes docs/records/benchmarks/start.json. A round runs every command once,
in turn, after one round that is not counted; a ratio is of two processes of the same round.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import torch

from eva.training.machine import describe_device, describe_versions

OUT = Path(__file__).parents[2] / "docs" / "records" / "benchmarks" / "start.json"
BARE = "python -c 'import torch'"
EXPORT = "python -c 'import torch, torch.export._trace'"  # what every torch.export.export imports
COMMANDS = {
    BARE: ["-c", "import torch"],
    EXPORT: ["-c", "import torch, torch.export._trace"],
    "eva --help": ["-m", "eva", "--help"],
    "eva summary": ["-m", "eva", "summary", "eva.experiments.exp5", "--input", "1x28x28"],
    "eva check": ["-m", "eva", "check", "eva.experiments.exp5"],
}


def seconds(arguments: list[str]) -> float:
    """Wall time of a process with one thread."""
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=True,
    )
    return time.perf_counter() - started


def measure(rounds: int) -> dict[str, dict[str, float]]:
    """Median seconds of each command, and the median of its ratio to the bare import."""
    found = [
        {name: seconds(arguments) for name, arguments in COMMANDS.items()}
        for _ in range(rounds + 1)
    ][1:]
    return {
        name: {
            "median_seconds": statistics.median(each[name] for each in found),
            "ratio_to_import_torch": statistics.median(each[name] / each[BARE] for each in found),
        }
        for name in COMMANDS
    }


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    load_before = os.getloadavg()[0]
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "rounds": arguments.rounds,
        "commands": measure(arguments.rounds),
        "load_average_before_and_after": [load_before, os.getloadavg()[0]],
        "device": describe_device(torch.device("cpu"), bf16=False, compiled=False).model_dump(),
        "versions": describe_versions(),
    }
    sys.stdout.write(json.dumps(record["commands"], indent=1) + "\n")
    OUT.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
