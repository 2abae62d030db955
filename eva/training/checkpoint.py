"""Everything that a run needs to go on from its last complete epoch as if nothing had happened."""

from __future__ import annotations

import io
import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from eva.errors import RecordError
from eva.record import Run, write_atomically


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """What training changes; ``average`` is there where the recipe has an EMA."""

    model: nn.Module
    average: nn.Module | None
    optimizer: torch.optim.Optimizer

    def to_dict(self) -> dict[str, object]:
        """TrainingState dicts by name."""
        return {
            "model": self.model.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }


def save_checkpoint(path: Path, run: Run, state: TrainingState) -> None:
    """Write a run so far and its state; a reader finds the old file or the new one, whole."""
    buffer = io.BytesIO()
    torch.save({"run": run.to_json()} | state.to_dict(), buffer)
    write_atomically(path, buffer.getvalue())


def load_checkpoint(path: Path, run: Run, state: TrainingState) -> Run:
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
    saved = _read(path, next(state.model.parameters()).device)
    for key in ("submission", "recipe", "seed", "parameters", "data", "device"):
        ours, theirs = getattr(run, key), getattr(saved.run, key)
        if ours != theirs:
            raise RecordError(
                f"{path} belongs to another run: its {key} is {theirs}, not {ours}.",
                "Resume with what it was started with, or choose another folder with --out.",
            )
    state.model.load_state_dict(saved.model)
    if state.average is not None and saved.average is not None:
        state.average.load_state_dict(saved.average)
    state.optimizer.load_state_dict(saved.optimizer)
    return saved.run.model_copy(update={"status": "running"})


def load_weights(path: Path, model: nn.Module) -> Run:
    """Put the weights that a run was evaluated with into a model on the CPU.

    Returns:
        The run, up to its last complete epoch.

    Raises:
        RecordError: There is no such file, it is damaged, or its model is another one.
    """
    if not path.exists():
        raise RecordError(f"there is no {path}.", "`eva train SUBMISSION` leaves one in its --out.")
    saved = _read(path, torch.device("cpu"))
    try:
        model.load_state_dict(saved.model if saved.average is None else saved.average)
    except RuntimeError as error:
        raise RecordError(
            f"the weights in {path} are those of another network, {saved.run.submission}: {error}",
            "Give the submission that it was trained with, as it was then.",
        ) from error
    return saved.run


@dataclass(frozen=True, kw_only=True)
class _Saved:
    run: Run
    model: dict[str, Tensor]
    average: dict[str, Tensor] | None
    optimizer: dict[str, Any]


def _read(path: Path, device: torch.device) -> _Saved:
    try:
        saved = torch.load(path, map_location=device, weights_only=True)
        return _Saved(
            run=Run.from_json(json.loads(saved["run"]), str(path)),
            model=saved["model"],
            average=saved["average"],
            optimizer=saved["optimizer"],
        )
    except (OSError, RuntimeError, EOFError, KeyError, ValueError, pickle.PickleError) as error:
        raise RecordError(
            f"{path} is not a whole checkpoint: {error}.", "Delete it and train again."
        ) from error
