"""A trained network as an ONNX file, which other programs run without eva and without PyTorch."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

from eva.data import DataName, images_of
from eva.errors import EvaError, SubmissionError, message_line
from eva.record import Run, write_atomically

TRACE = "pkg.torch.onnx.stack_trace"
KEPT = ("python", "eva-course", "torch")  # of the versions that a run was made with


def export_onnx(model: nn.Module, run: Run, out: Path) -> Path:
    """Write a model with the weights that it has.

    The file has one input, "image", float32 of MNIST's shape (batch, 1, 28, 28) or that of the
    run's data, normalized as :meth:`eva.Dataset.normalize` does it, and one output, "scores",
    float32 of shape (batch, classes). Where the weights come from stands in its metadata, under
    "eva".

    Args:
        model: On the CPU; it is left in eval mode.
        run: The run that trained it.
        out: File to write; folders are made.

    Raises:
        SubmissionError: The model can't be exported.
        EvaError: The packages for it are not installed, or the file can't be written.
    """
    missing = [name for name in ("onnx", "onnxscript") if find_spec(name) is None]
    if missing:
        raise EvaError(
            f"{' and '.join(missing)} not installed.", "Run `pip install 'eva-course[export]'`."
        )
    try:
        program = torch.onnx.export(
            model.eval(),
            (torch.zeros(2, *_size(run)),),  # a batch of 1 would be taken for a constant
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            input_names=["image"],
            output_names=["scores"],
            verbose=False,
        )
    except Exception as error:  # the exporter's errors have no common base
        said = message_line(error) or type(error).__name__
        raise SubmissionError(
            f"PyTorch can't export this network to ONNX: {said}",
            "A forward pass that asks for values, in an `if` or a loop, is the usual cause.",
        ) from error
    assert program is not None  # with dynamo=True
    for node in program.model.graph:
        node.metadata_props.pop(TRACE, None)  # paths of this machine, and most of the file
    program.model.metadata_props["eva"] = json.dumps(source(run))
    try:
        return write_atomically(out, program.model_proto.SerializeToString())
    except OSError as error:
        raise EvaError(f"can't write {out}: {error.strerror}.", "Choose another --out.") from error


def _size(run: Run) -> tuple[int, int, int]:
    """Of an image of the data that a run was trained on; MNIST's where it is not one of ours."""
    name = run.data.name.partition(",")[0]
    return images_of(name if name in list(DataName) else DataName.MNIST).size


def source(run: Run) -> dict[str, object]:
    """What a file says of the run that its weights come from."""
    return {
        "submission": run.submission,
        "seed": run.seed,
        "parameters": run.parameters,
        "data": run.data.name,
        "epochs": len(run.rows),
        "test_accuracy": run.rows[-1].test_accuracy if run.rows else None,
        "versions": {name: run.versions[name] for name in KEPT},
    }
