"""Seeds: every draw comes from one that is named, and the state of all others is put back."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derive_seed(*parts: int | str) -> int:
    """Turn a seed and what it is for into a seed of its own (63 bits)."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def seed_python(seed: int) -> None:
    """Seed ``random`` and ``numpy.random``, inside :func:`seeded`."""
    random.seed(seed)
    np.random.seed(seed % 2**32)


@contextmanager
def seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Seed the global generators inside the block and put them back after it.

    They are PyTorch's, and those of ``random`` and ``numpy.random``, which a network may use.
    """
    python, numbers = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            seed_python(seed)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numbers)


@contextmanager
def seeds_ignored() -> Iterator[None]:
    """Let no call seed the global generators inside the block, ours included."""
    seeders = ((torch, "manual_seed"), (torch.random, "manual_seed"),
               (random, "seed"), (np.random, "seed"))  # fmt: skip
    before = [getattr(module, name) for module, name in seeders]
    try:
        for module, name in seeders:
            setattr(module, name, _ignore)
        yield
    finally:
        for (module, name), seeder in zip(seeders, before, strict=True):
            setattr(module, name, seeder)


def _ignore(*args: object, **kwargs: object) -> torch.Generator:
    return torch.default_generator
