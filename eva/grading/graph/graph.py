"""A model as a graph: operations, their arguments and the stored numbers that they read.

A :class:`Graph` holds two programs, one for train and one for eval mode, over one set of stored
tensors. It knows nothing of the Python that it came from: :meth:`Graph.to_json` and
:meth:`Graph.to_bytes` carry it to another process, and
:class:`~eva.grading.graph.execution.GraphModule` runs and trains it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from eva.errors import GradingError
from eva.grading.graph.nodes import Program, Stored, resolve
from eva.grading.graph.serialization import (
    entry,
    program_to_json,
    read_program,
    read_stored,
    table_of,
)
from eva.json_types import Json

GRAPH_SCHEMA = 1
MAX_NODES = 4000


@dataclass(frozen=True, kw_only=True, eq=False)
class Graph:
    """Both programs of a model and its stored tensors, each shared tensor once."""

    train: Program
    eval: Program
    stored: tuple[Stored, ...]

    def to_json(self) -> dict[str, Json]:
        """Everything but the numbers."""
        return {
            "schema": GRAPH_SCHEMA,
            "stored": [
                {
                    "name": s.name,
                    "role": s.role.value,
                    "dtype": str(s.data.dtype).removeprefix("torch."),
                    "shape": list(s.data.shape),
                    "trainable": s.trainable,
                }
                for s in self.stored
            ],
            "train": program_to_json(self.train),
            "eval": program_to_json(self.eval),
        }

    def to_bytes(self) -> bytes:
        """The numbers of all stored tensors in order, little-endian in their own dtype."""
        return b"".join(
            bytes(s.data.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
            for s in self.stored
        )

    @classmethod
    def from_json(cls, value: object, numbers: bytes) -> Graph:
        """Read what :meth:`to_json` and :meth:`to_bytes` wrote, trusting neither.

        Raises:
            GradingError: A key, type, operation, name or size is wrong; the message says where.
        """
        top = table_of(value, "the graph")
        schema = entry(top, "schema", int, "the graph")
        if schema != GRAPH_SCHEMA:
            raise GradingError(
                f"the graph has schema {schema}; this eva reads schema {GRAPH_SCHEMA}."
            )
        stored = tuple(read_stored(entry(top, "stored", list, "the graph"), numbers))
        names = [s.name for s in stored]
        if len(set(names)) < len(names):
            raise GradingError("two stored tensors of the graph have one name.")
        graph = cls(
            train=read_program(top.get("train"), "train"),
            eval=read_program(top.get("eval"), "eval"),
            stored=stored,
        )
        graph.validate()
        return graph

    def validate(self) -> None:
        """Check that every name is written before it is read and every operation is known.

        Raises:
            GradingError: The message names the program, the node and the name.
        """
        for mode, program in (("train", self.train), ("eval", self.eval)):
            if len(program.nodes) > MAX_NODES:
                raise GradingError(
                    f"the {mode} program has {len(program.nodes):,} operations; "
                    f"at most {MAX_NODES:,} are allowed."
                )
            known = {program.input, *(s.name for s in self.stored)}
            for index, node in enumerate(program.nodes):
                place = f"{mode} program, node {index} ({node.op})"
                resolve(node.op)
                for name in node.reads():
                    if name not in known:
                        raise GradingError(f"{place} reads {name!r}, which nothing has written.")
                for name in filter(None, node.outputs):
                    if name in known:
                        raise GradingError(f"{place} writes {name!r} a second time.")
                    known.add(name)
            if program.output not in known:
                raise GradingError(f"the {mode} program returns {program.output!r}, never written.")
