"""Everything that a run needs to go on from its last complete epoch as if nothing had happened."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from eva.errors import RecordError
from eva.record import Change, Run, counted, write_atomically
from eva.training.device import device_of

RECORD = 1_000_000  # bytes that a record and its pictures take at most, beside the checkpoint


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """What training changes; ``average`` is there where the recipe has an EMA."""

    model: nn.Module
    average: nn.Module | None
    optimizer: torch.optim.Optimizer

    def to_dict(self) -> dict[str, object]:
        """Return the three state dicts, by name."""
        return {
            "model": self.model.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }


def require_room(folder: Path, state: TrainingState) -> None:
    """Try a folder before training: can what a run leaves there be written?

    Raises:
        RecordError: The folder can't be made or written to, or its disk is full.
    """
    numbers = sum(value.numel() for value in state.model.state_dict().values())
    size = RECORD + 4 * 4 * numbers  # bytes: weights, average, and two numbers of Adam for each
    probe = folder / f".eva-{uuid.uuid4().hex}"
    try:
        write_atomically(probe, bytes(size))
    except OSError as error:
        raise _no_room(folder, error) from error
    finally:
        with contextlib.suppress(OSError):  # then it was not written either
            probe.unlink(missing_ok=True)


def save_run(folder: Path, run: Run, state: TrainingState | None = None) -> None:
    """Write a run's record and, with its state, its checkpoint.

    A reader finds the old files or the new ones, whole.

    Raises:
        RecordError: The folder can't be written to any more.
    """
    try:
        if state is not None:
            buffer = io.BytesIO()
            torch.save({"run": run.to_json()} | state.to_dict(), buffer)
            write_atomically(folder / "checkpoint.pt", buffer.getvalue())
        run.save(folder / "record.json")
    except OSError as error:
        raise _no_room(folder, error) from error


def load_checkpoint(path: Path, run: Run, state: TrainingState) -> Run:
    """Put a checkpoint into ``state``, in place, and return its run.

    The run may go on under another name, with more epochs, or on another device; then its
    ``changes`` say so.

    Args:
        path: Where it may be; without a file nothing changes, and ``run`` is returned.
        run: As it would start anew. The checkpoint of another one is refused.
        state: On its device.

    Raises:
        RecordError: The file is damaged or belongs to another run.
    """
    if not path.exists():
        return run
    saved = _read(path, device_of(state.model))
    _require_same(path, run, saved.run)
    try:
        state.model.load_state_dict(saved.model)
        if state.average is not None and saved.average is not None:
            state.average.load_state_dict(saved.average)
        state.optimizer.load_state_dict(saved.optimizer)
    except (RuntimeError, ValueError, KeyError) as error:
        raise RecordError(
            f"{path} belongs to another run: its weights are those of another network.",
            "Resume with the network as it was, or choose another folder with --out.",
        ) from error
    changes = _changes(saved.run, run)
    kept = {"rows", "confusion", "seconds", "started"}
    return run.model_copy(
        update={key: getattr(saved.run, key) for key in kept}
        | {"changes": (*saved.run.changes, *changes)}
    )


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


def _require_same(path: Path, ours: Run, theirs: Run) -> None:
    """Refuse a checkpoint whose run another one can't go on from."""
    advice = "Resume with what it was started with, or choose another folder with --out."
    for key in ("seed", "parameters", "data"):
        if getattr(ours, key) != getattr(theirs, key):
            raise RecordError(
                f"{path} belongs to another run: its {key} is {getattr(theirs, key)}, "
                f"not {getattr(ours, key)}.",
                advice,
            )
    old, new = theirs.recipe.to_json(), ours.recipe.to_json()
    differ = [k for k in sorted(old.keys() | new.keys()) if old.get(k) != new.get(k)]
    for key in differ:
        if key != "epochs":
            raise RecordError(
                f"{path} belongs to another run: its recipe is another: {key} is "
                f"{getattr(theirs.recipe, key)!r}, not {getattr(ours.recipe, key)!r}.",
                advice,
            )
    if len(theirs.rows) > ours.recipe.epochs:
        raise RecordError(
            f"{path} has {counted(len(theirs.rows), 'epoch')} already, more than the "
            f"{ours.recipe.epochs} that were asked for.",
            "Ask for as many or more, or choose another folder with --out.",
        )
    if theirs.network and ours.network and theirs.network != ours.network:
        raise RecordError(
            f"{path} belongs to another run: its network is another. The weights fit, but the "
            "operations that forward() runs, or their numbers, are not the same.",
            "Resume with the network as it was, or choose another folder with --out.",
        )


def _changes(old: Run, new: Run) -> list[Change]:
    """What is otherwise now, though the run goes on."""
    pairs = {
        "epochs": (old.recipe.epochs, new.recipe.epochs),
        "device": (old.device.name, new.device.name),
        "threads": (old.device.threads, new.device.threads),
        "precision": (old.device.precision, new.device.precision),
        "compiled": (old.device.compiled, new.device.compiled),
        "versions": (old.versions, new.versions),
    }
    return [
        Change(epoch=len(old.rows), what=what, before=str(before), after=str(after))
        for what, (before, after) in pairs.items()
        if before != after
    ]


def _no_room(folder: Path, error: OSError) -> RecordError:
    return RecordError(
        f"{folder} can't be written to: {error.strerror or error}.",
        "Make room, or choose another folder with --out.",
    )


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
