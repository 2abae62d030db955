"""Weights of a trained network of the experiments, small enough for a page.

python docs/generate.py --weights runs/reference-seed0/checkpoint.pt
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from eva.experiments.reference import build_model
from eva.record import Run
from makers.records import DOCS

FILE = DOCS / "widgets" / "data" / "reference.js"
HEAD = "// Made by `python docs/generate.py --weights CHECKPOINT`; numbers are float32 in base64.\n"
KEPT = ("python", "eva-course", "torch")  # of the versions that a run was made with


def write(checkpoint: Path) -> None:
    """Write the weights that a run of the reference was evaluated with, and where they are from."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    run = Run.from_json(json.loads(state["run"]), str(checkpoint))
    model = build_model().eval()
    model.load_state_dict(state["model"] if state["average"] is None else state["average"])
    source = {
        "submission": run.submission,
        "seed": run.seed,
        "parameters": run.parameters,
        "data": run.data.name,
        "epochs": len(run.rows),
        "test_accuracy": run.rows[-1].test_accuracy,
        "versions": {name: run.versions[name] for name in KEPT},
    }
    FILE.write_text(text(model, source))


def text(model: nn.Module, source: dict[str, Any]) -> str:
    """A JavaScript module that holds the layers of a network."""
    value = json.dumps({"source": source, "layers": layers(model)}, indent=1)
    return f"{HEAD}export const NETWORK = {value};\n"


def layers(model: nn.Module) -> list[dict[str, Any]]:
    """What docs/widgets/forward.js runs; a BatchNorm becomes a scale and a shift a channel."""
    found: list[dict[str, Any]] = []
    for name, layer in model.named_modules():
        match layer:
            case nn.Conv2d(in_channels=fan_in, out_channels=fan_out, kernel_size=(k, _)):
                kernel = _base64(layer.weight)
                one = {"kind": "conv", "in": fan_in, "out": fan_out, "k": k, "weights": kernel}
            case nn.BatchNorm2d(running_mean=Tensor() as mean, running_var=Tensor() as variance):
                scale = layer.weight / torch.sqrt(variance + layer.eps)
                shift = layer.bias - mean * scale
                one = {"kind": "affine", "scale": _base64(scale), "shift": _base64(shift)}
            case nn.ReLU():
                one = {"kind": "relu"}
            case nn.MaxPool2d(kernel_size=k):
                one = {"kind": "max", "k": k}
            case nn.AvgPool2d(kernel_size=k):
                one = {"kind": "avg", "k": k}
            case _:
                continue
        found.append({"name": name} | one)
    return found


def _base64(values: Tensor) -> str:
    return base64.b64encode(values.detach().float().contiguous().numpy().tobytes()).decode()
