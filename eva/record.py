"""A run is a record: one JSON file that plots, tables and pages are drawn from."""

from __future__ import annotations

import csv
import html
import io
import json
import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from eva.errors import RecipeError, RecordError
from eva.json_types import FrozenModel
from eva.recipe import Recipe

RECORD_SCHEMA = 1
_SHOWN = 10  # epochs in the table that a notebook shows
TARGET = 99.4  # percent of the test images, in each of the last epochs: the course's assignment
LAST_EPOCHS = 4


class EpochRow(FrozenModel):
    """What one epoch measured.

    Attributes:
        epoch: Counted from 0.
        lr: Learning rate of the epoch's last step.
        train_loss: Mean cross-entropy over the epoch's augmented images, while training.
        train_accuracy: Percent of the augmented images answered right, while training.
        test_loss: Mean cross-entropy over the test images, after the epoch.
        test_accuracy: Percent of the test images answered right, after the epoch.
        wrong: Indices of the misclassified test images.
        images_per_second: Training images over the seconds of training.
        seconds_train: Seconds of training. It includes the next two.
        seconds_data: Seconds of indexing, augmentation and normalization.
        seconds_compute: Seconds of forward, backward and optimizer.
        seconds_test: Seconds of testing.
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


class Change(FrozenModel):
    """Something that was otherwise when a run was resumed: another device, more epochs.

    Attributes:
        epoch: The first that was trained with the new value, counted from 0.
        what: "epochs", "device", "threads", "precision", "compiled" or "versions".
        before: The old value.
        after: The new one.
    """

    epoch: int
    what: str
    before: str
    after: str


class Run(FrozenModel):
    """The record of one training run.

    Attributes:
        schema_version: Version of this format. A newer one than this eva knows is refused.
        submission: Dotted module or file name, as it was given.
        recipe: The numbers that it was trained with.
        seed: Decides initialization, order, augmentation and dropout.
        parameters: Number of parameters of the model.
        data: What it was trained and tested on.
        device: Where it was trained, since it was last resumed.
        versions: Versions of Python, the platform and the packages that a result may depend on.
        started: UTC, ISO 8601.
        status: "finished"; "stopped" early by a callback; "interrupted" by the user; "diverged"
            where the loss was not finite; "running" until then.
        rows: One for each epoch.
        confusion: Test images of true class (row) predicted as class (column), last epoch.
        seconds: Wall time of the run, interruptions not counted.
        network: Digest of the operations that the model runs. Two networks with the same one differ
            at most in the values of their weights. Empty in older records.
        changes: What was otherwise each time the run was resumed.
        layers: A line for each layer without layers inside, as PyTorch prints it. Empty in older
            records, and where a graph was trained.
        path: Whether the network was compiled, and why; a line. Empty in older records.
    """

    schema_version: int = RECORD_SCHEMA
    submission: str
    recipe: Recipe
    seed: int
    parameters: int
    data: DataInfo
    device: DeviceInfo
    versions: dict[str, str]
    started: str
    status: Literal["running", "finished", "stopped", "interrupted", "diverged"]
    rows: tuple[EpochRow, ...] = Field(default=())
    confusion: tuple[tuple[int, ...], ...] = Field(default=())
    seconds: float = 0.0
    network: str = ""
    changes: tuple[Change, ...] = Field(default=())
    layers: tuple[str, ...] = Field(default=())
    path: str = ""

    def __repr__(self) -> str:
        """Three lines: which run, how large and how long, and the verdict."""
        return (
            f"Run of {self.submission}, seed {self.seed}: {self.status}\n"
            f"{counted(self.parameters, 'parameter')}, {len(self.rows)} of "
            f"{counted(self.recipe.epochs, 'epoch')} of {self.data.name} on {self.device.name}, "
            f"{self.seconds:.0f} s\n"
            f"{self.verdict()}"
        )

    __str__ = __repr__

    def _repr_html_(self) -> str:
        """What a notebook shows: those lines, the curves, and a table of the last epochs."""
        which, size, verdict = (html.escape(line) for line in repr(self).split("\n"))
        shown = f"<p><b>{which}</b><br>{size}<br>{verdict}</p>"
        return shown + _curves(self.rows) + _table(self.rows) if self.rows else shown

    @property
    def best(self) -> EpochRow | None:
        """Row of the highest test accuracy, the earliest of several; None without rows."""
        return max(self.rows, key=lambda row: row.test_accuracy, default=None)

    def held(self, target: float = TARGET, epochs: int = LAST_EPOCHS) -> bool:
        """Whether each of the last ``epochs`` reached ``target`` percent on the test images."""
        last = self.rows[-epochs:]
        return len(last) == epochs and all(row.test_accuracy >= target for row in last)

    def verdict(self) -> str:
        """One sentence on the last epochs, which decide, or on why they can't."""
        last = self.rows[-LAST_EPOCHS:]
        if not last:
            return "No epoch was trained."
        lowest = min(row.test_accuracy for row in last)
        highest = max(row.test_accuracy for row in last)
        count = "The last epoch" if len(last) == 1 else f"The last {len(last)} epochs"
        between = f"{lowest:.2f} %" if lowest == highest else f"{lowest:.2f} to {highest:.2f} %"
        reached = f"{count} reached {between} on {self.data.name}"
        if self.data.name != "mnist":
            stands_in = self.data.name.startswith("mnist")  # part of it, or mnist-mini
            return f"{reached}: not an official result." if stands_in else f"{reached}."
        if len(last) < LAST_EPOCHS:
            return f"{reached}. Whether {TARGET:.2f} % holds takes {LAST_EPOCHS} epochs."
        held = "held" if self.held() else "not held"
        return f"{reached}: {TARGET:.2f} % is {held} over the last {LAST_EPOCHS} epochs."

    def to_json(self) -> str:
        """JSON text, one epoch a line so that records diff well."""
        value = self.model_dump(mode="json")
        for key in ("network", "changes", "layers"):  # later than the first records
            if not value[key]:
                del value[key]
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
        if isinstance(version, int) and version > RECORD_SCHEMA:
            raise RecordError(
                f"{source} has schema version {version}; this eva reads up to {RECORD_SCHEMA}.",
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


def _curves(rows: Sequence[EpochRow]) -> str:
    """Accuracy over the epochs as SVG: testing solid, training dashed."""
    kinds = {"test": ("#2f6fb7", ""), "train": ("#d1495b", ' stroke-dasharray="5 3"')}
    values = {
        "test": [row.test_accuracy for row in rows],
        "train": [row.train_accuracy for row in rows],
    }
    low, high = min(map(min, values.values())), max(map(max, values.values()))
    span = high - low or 1.0
    parts = []
    for place, (name, (color, dash)) in enumerate(kinds.items()):
        points = [
            (50 + 380 * index / max(1, len(rows) - 1), 150 - 130 * (value - low) / span)
            for index, value in enumerate(values[name])
        ]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(
            f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"{dash}/>'
            f'<circle cx="{points[-1][0]:.1f}" cy="{points[-1][1]:.1f}" r="3" fill="{color}"/>'
            f'<text x="440" y="{30 + 18 * place}" fill="{color}">{name} '
            f"{values[name][-1]:.2f} %</text>"
        )
    ends = f"epochs {rows[0].epoch + 1} to {rows[-1].epoch + 1}"
    return (
        '<svg width="560" height="180" font-family="sans-serif" font-size="12" role="img" '
        f'aria-label="Accuracy over {ends}">'
        f'<text x="0" y="24" fill="currentColor">{high:.1f} %</text>'
        f'<text x="0" y="154" fill="currentColor">{low:.1f} %</text>'
        f'<text x="200" y="174" fill="currentColor">{ends}</text>'
        f'<path d="M50 15V155H435" fill="none" stroke="currentColor" opacity="0.4"/>'
        f"{''.join(parts)}</svg>"
    )


def _table(rows: Sequence[EpochRow]) -> str:
    """The last epochs as HTML."""
    names = ("epoch", "lr", "train %", "train loss", "test %", "test loss", "s")
    head = "".join(f"<th>{name}</th>" for name in names)
    body = ""
    for row in rows[-_SHOWN:]:
        cells = (
            f"{row.epoch + 1}",
            f"{row.lr:.3g}",
            f"{row.train_accuracy:.2f}",
            f"{row.train_loss:.4f}",
            f"{row.test_accuracy:.2f}",
            f"{row.test_loss:.4f}",
            f"{row.seconds_train + row.seconds_test:.1f}",
        )
        body += f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: "1 epoch", "15 epochs"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def write_atomically(path: Path, content: bytes) -> Path:
    """Write a file beside its place and move it there, so that readers never see half of it.

    Raises:
        OSError: The folder can't be written to, or the disk is full.
    """
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
