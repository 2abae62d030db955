"""A run is a record: one JSON file that plots, tables and pages are drawn from."""

from __future__ import annotations

import csv
import io
import json
import os
import uuid
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from eva.errors import RecipeError, RecordError
from eva.json_types import FrozenModel
from eva.recipe import Recipe

SCHEMA = 1


class EpochRow(FrozenModel):
    """What one epoch measured.

    Attributes:
        epoch: Counted from 0.
        lr: Learning rate of the epoch's last step.
        train_loss: Mean cross-entropy over the epoch's augmented images, while training.
        train_accuracy: In percent, likewise.
        test_loss: Mean cross-entropy over the test images, after the epoch.
        test_accuracy: In percent.
        wrong: Indices of the misclassified test images.
        images_per_second: Training images over the seconds of training.
        seconds_train: Seconds of training, the sum of the next two.
        seconds_data: Of those, seconds of indexing, augmentation and normalization.
        seconds_compute: Of those, seconds of forward, backward and optimizer.
        seconds_test: Seconds of evaluation.
    """

    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float
    wrong: tuple[int, ...]
    images_per_second: float
    seconds_train: float
    seconds_data: float
    seconds_compute: float
    seconds_test: float


class DataInfo(FrozenModel):
    """Which data a run saw: name, SHA-256 of its content, and how many images."""

    name: str
    checksum: str
    train_size: int
    test_size: int


class DeviceInfo(FrozenModel):
    """Where a run ran; ``threads`` are PyTorch's own on a CPU."""

    type: str
    name: str
    threads: int
    precision: Literal["float32", "bfloat16"]
    compiled: bool


class Run(FrozenModel):
    """The record of one training run.

    Attributes:
        schema_version: Of this format; a newer one is refused.
        submission: Dotted module or file name.
        recipe: As trained.
        seed: Of initialization, order, augmentation and dropout.
        parameters: Number of parameters of the model.
        status: "finished"; "interrupted" by the user; "diverged" where the loss was not finite.
        rows: One an epoch.
        confusion: Test images of true class (row) predicted as class (column), last epoch.
        seconds: Wall time of the run, interruptions not counted.
    """

    schema_version: int = SCHEMA
    submission: str
    recipe: Recipe
    seed: int
    parameters: int
    data: DataInfo
    device: DeviceInfo
    versions: dict[str, str]
    started: str
    status: Literal["running", "finished", "interrupted", "diverged"]
    rows: tuple[EpochRow, ...] = Field(default=())
    confusion: tuple[tuple[int, ...], ...] = Field(default=())
    seconds: float = 0.0

    @property
    def best(self) -> EpochRow | None:
        """Row of the highest test accuracy, the earliest of several; None without rows."""
        return max(self.rows, key=lambda row: row.test_accuracy, default=None)

    def held(self, target: float = 99.4, epochs: int = 4) -> bool:
        """Whether each of the last ``epochs`` reached ``target`` percent on the test images."""
        last = self.rows[-epochs:]
        return len(last) == epochs and all(row.test_accuracy >= target for row in last)

    def to_json(self) -> str:
        """JSON text, one epoch a line so that records diff well."""
        value = self.model_dump(mode="json")
        rows = value.pop("rows")
        confusion = value.pop("confusion")
        head = json.dumps(value, indent=1)[:-2]
        lines = {"rows": rows, "confusion": confusion}
        for key, entries in lines.items():
            inner = ",\n".join(f"  {json.dumps(entry)}" for entry in entries)
            head += f',\n "{key}": [\n{inner}\n ]' if entries else f',\n "{key}": []'
        return head + "\n}\n"

    def to_csv(self) -> str:
        """CSV text with a header, one row an epoch, without the indices of wrong images."""
        names = [name for name in EpochRow.model_fields if name != "wrong"]
        out = io.StringIO()
        writer = csv.DictWriter(out, names, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(row.model_dump() for row in self.rows)
        return out.getvalue()

    def save(self, path: str | Path) -> Path:
        """Write the JSON file; never leaves half a file."""
        return write_atomically(Path(path), self.to_json().encode())

    @classmethod
    def load(cls, path: str | Path) -> Run:
        """Read a record.

        Raises:
            RecordError: The file is missing, damaged, or of a newer schema.
        """
        path = Path(path)
        try:
            value = json.loads(path.read_bytes())
        except OSError as error:
            raise RecordError(f"{path} can't be read: {error.strerror}.") from error
        except ValueError as error:
            raise RecordError(
                f"{path} is not a run record: {error}.",
                "It was cut off or edited; train again or restore it from version control.",
            ) from error
        return cls.from_json(value, str(path))

    @classmethod
    def from_json(cls, value: Any, source: str = "record") -> Run:
        """Check and read what :meth:`to_json` wrote; ``source`` names it in errors."""
        version = value.get("schema_version") if isinstance(value, dict) else None
        if isinstance(version, int) and version > SCHEMA:
            raise RecordError(
                f"{source} has schema version {version}; this eva reads up to {SCHEMA}.",
                "Upgrade with `pip install -U eva-course`.",
            )
        try:
            return cls.model_validate_json(json.dumps(value))
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"])) or "top level"
            raise RecordError(f"{source} is not a run record: {key}: {first['msg']}.") from error
        except RecipeError as error:
            raise RecordError(f"{source} is not a run record: {error}") from error


def write_atomically(path: Path, content: bytes) -> Path:
    """Write a file beside its place and move it there, so that readers never see half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with part.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path
