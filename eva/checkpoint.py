"""Everything that a run needs to go on from its last complete epoch as if nothing had happened."""

from __future__ import annotations

import io
import json
import pickle
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from eva.errors import RecordError
from eva.record import Run, write_atomically


@dataclass(frozen=True, kw_only=True)
class State:
    """What training changes; ``average`` is there where the recipe has an EMA."""

    model: nn.Module
    average: nn.Module | None
    optimizer: torch.optim.Optimizer

    def to_dict(self) -> dict[str, object]:
        """State dicts by name."""
        return {
            "model": self.model.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }


def save_checkpoint(path: Path, run: Run, state: State) -> None:
    """Write a run so far and its state; a reader finds the old file or the new one, whole."""
    buffer = io.BytesIO()
    torch.save({"run": run.to_json()} | state.to_dict(), buffer)
    write_atomically(path, buffer.getvalue())


def load_checkpoint(path: Path, run: Run, state: State) -> Run:
    """Put a checkpoint into ``state``, in place, and return its run.

    Args:
        path: Where it may be; without a file nothing changes, and ``run`` is returned.
        run: As it would start anew; a checkpoint of another one is refused.
        state: On its device.

    Raises:
        RecordError: The file is damaged or belongs to another run.
    """
    if not path.exists():
        return run
    device = next(state.model.parameters()).device
    try:
        saved = torch.load(path, map_location=device, weights_only=True)
        before = Run.from_json(json.loads(saved["run"]), str(path))
    except (OSError, RuntimeError, EOFError, KeyError, ValueError, pickle.PickleError) as error:
        raise RecordError(
            f"{path} is not a whole checkpoint: {error}.", "Delete it and train again."
        ) from error
    for key in ("submission", "recipe", "seed", "parameters", "data", "device"):
        ours, theirs = getattr(run, key), getattr(before, key)
        if ours != theirs:
            raise RecordError(
                f"{path} belongs to another run: its {key} is {theirs}, not {ours}.",
                "Resume with what it was started with, or choose another folder with --out.",
            )
    state.model.load_state_dict(saved["model"])
    if state.average is not None:
        state.average.load_state_dict(saved["average"])
    state.optimizer.load_state_dict(saved["optimizer"])
    return before.model_copy(update={"status": "running"})
