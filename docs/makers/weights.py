"""Weights of a trained network of the experiments, small enough for a page.

eva export onnx eva.experiments.reference --out reference.onnx
python docs/generate.py --weights reference.onnx
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from makers.records import DOCS

FILE = DOCS / "widgets" / "data" / "reference.js"
HEAD = "// Made by `python docs/generate.py --weights ONNX`; numbers are float32 in base64.\n"
SCOPES = "pkg.torch.onnx.name_scopes"  # of the modules around a node, the last is the function's


def write(file: Path) -> None:
    """Write what ``eva export onnx`` has written, as a module for the page."""
    model = onnx.load(file)
    FILE.write_text(text(model))


def text(model: onnx.ModelProto) -> str:
    """A JavaScript module that holds the layers of a network and where they are from."""
    source = next(json.loads(p.value) for p in model.metadata_props if p.key == "eva")
    value = json.dumps({"source": source, "layers": list(layers(model))}, indent=1)
    return f"{HEAD}export const NETWORK = {value};\n"


def layers(model: onnx.ModelProto) -> Iterator[dict[str, Any]]:
    """What docs/widgets/forward.js runs; a BatchNorm becomes a scale and a shift a channel.

    Raises:
        ValueError: The network has an operation that the page can't do.
    """
    values = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    for node in model.graph.node:
        attributes = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
        scopes = next((p.value for p in node.metadata_props if p.key == SCOPES), "['', '']")
        name = {"name": scopes.strip("[]").split(", ")[-2].strip("'")}
        match node.op_type:
            case "Conv":
                kernel = values[node.input[1]]
                fan_out, fan_in, side, _ = kernel.shape
                shape = {"in": fan_in, "out": fan_out, "k": side}
                yield name | {"kind": "conv"} | shape | {"weights": _base64(kernel)}
            case "BatchNormalization":
                weight, bias, mean, variance = (values[one] for one in node.input[1:])
                scale = weight / np.sqrt(variance + attributes["epsilon"])
                shift = bias - mean * scale
                yield name | {"kind": "affine", "scale": _base64(scale), "shift": _base64(shift)}
            case "Relu":
                yield name | {"kind": "relu"}
            case "MaxPool":
                yield name | {"kind": "max", "k": attributes["kernel_shape"][0]}
            case "AveragePool":
                yield name | {"kind": "avg", "k": attributes["kernel_shape"][0]}
            case "Reshape":
                pass  # after it the page reads the same ten numbers
            case other:
                raise ValueError(f"forward.js has no {other}")


def _base64(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype=np.float32).tobytes()).decode()
