"""Who takes part in the benchmark of training, and how one is run: each a process of its own."""

from __future__ import annotations

import gzip
import json
import os
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from eva.record import write_atomically
from eva.training.machine import describe_device, describe_versions

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A module under ``peers`` and its options; ``ours`` runs in eva's own environment."""

    module: str
    options: tuple[str, ...] = ()
    ours: bool = False

    @property
    def bf16(self) -> bool:
        """Whether it computes in bfloat16; all others in float32."""
        return "--bf16" in self.options


WORKERS = ("--workers", "2")
OURS = {
    "eva": Contestant(module="eva_loop", ours=True),
    "eva compiled": Contestant(module="eva_loop", options=("--compile",), ours=True),
    "eva bf16 compiled": Contestant(module="eva_loop", options=("--bf16", "--compile"), ours=True),
}
PEERS = {
    "pytorch": Contestant(module="pytorch_loop"),
    "pytorch bf16": Contestant(module="pytorch_loop", options=("--bf16",)),
    "pytorch 2 workers": Contestant(module="pytorch_loop", options=WORKERS),
    "lightning": Contestant(module="lightning_loop", options=WORKERS),
    "fastai": Contestant(module="fastai_loop", options=WORKERS),
    "skorch": Contestant(module="skorch_loop", options=WORKERS),
    "keras": Contestant(module="keras_loop", options=WORKERS),
}
FLOOR = Contestant(module="floor", ours=True)
OWN_STEP = "eva compiled"  # what the floor's module measures beside the floors


def lowest(seconds: dict[str, float]) -> float:
    """The floor: PyTorch's fastest way to run a step, of all that were measured."""
    return min(value for way, value in seconds.items() if way != OWN_STEP)


class Skipped(Exception):
    """A contestant that can't run, and why."""


def say(line: str) -> None:
    """Print at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def run(one: Contestant, python: Path, data: Path, *more: str) -> tuple[list[Any], float]:
    """JSON lines of a contestant, and the seconds of its process.

    Raises:
        Skipped: It failed; the message is its last line.
    """
    interpreter = sys.executable if one.ours else str(python.absolute())  # it runs elsewhere
    if not Path(interpreter).exists():
        raise Skipped(f"there is no {interpreter}; `make bench` makes it")
    command = [interpreter, "-m", f"peers.{one.module}", "--data", str(data), *one.options, *more]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(HERE)))}
    started = time.perf_counter()
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, check=False, cwd=data
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        raise Skipped((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
    return [json.loads(line) for line in done.stdout.splitlines()], seconds


def conditions(script: str, device: torch.device) -> dict[str, Any]:
    """What a record says first: how it was made, when, where and with what."""
    return {
        "command": shlex.join(["python", f"tests/benchmarks/{script}", *sys.argv[1:]]),
        "date": datetime.now(UTC).date().isoformat(),
        "device": describe_device(device, bf16=False, compiled=False).model_dump()
        | {"cores": os.cpu_count()},
        "versions": describe_versions(),
    }


def keep(record: dict[str, Any], out: Path, **part: Any) -> None:
    """Add a part to a record and write it all, so that an end before time loses little."""
    record.update(part)
    write_atomically(out, (json.dumps(record, indent=1) + "\n").encode())


def unpack(folder: Path, into: Path) -> Path:
    """Lay MNIST out for torchvision, which wants it unpacked in a folder that it may write to."""
    raw = into / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for file in folder.iterdir():
        name, packed = file.name.removesuffix(".gz"), file.suffix == ".gz"
        content = gzip.decompress(file.read_bytes()) if packed else file.read_bytes()
        (raw / name).write_bytes(content)
    return into


def choose(names: str | None, skipped: dict[str, str]) -> dict[str, Contestant]:
    """The peers asked for; an unknown name goes to ``skipped``."""
    asked = list(PEERS) if names is None else [name.strip() for name in names.split(",") if name]
    for name in asked:
        if name not in PEERS:
            skipped[name] = f"no peer is called so; known: {', '.join(PEERS)}"
            say(f"skipped {name}: {skipped[name]}")
    return {name: PEERS[name] for name in asked if name in PEERS}
