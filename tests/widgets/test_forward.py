"""The page's forward pass is PyTorch's, and the weights in it are those of a record."""

import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import onnx
import pytest
import torch
from torch import nn

from eva.data import Dataset, normalize, to_float
from eva.experiments.network import Net
from eva.export import export_onnx
from eva.record import Run

DOCS = Path(__file__).parents[2] / "docs"
LARGEST_ERROR = 1e-4  # of a score; scores are of the order of 10
Node = Callable[..., Any]


@pytest.fixture(scope="module")
def weights() -> Iterator[ModuleType]:
    """The maker of the page's weights."""
    known = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS))
        yield import_module("makers.weights")
    for name in set(sys.modules) - known:
        if name.partition(".")[0] == "makers":
            del sys.modules[name]


def random_net() -> nn.Module:
    """A network whose BatchNorms have statistics and weights of every sign."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = Net((3, 4, 5, 6, 7, 8)).eval()
        for layer in model.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight)
            if isinstance(layer, nn.BatchNorm2d):
                nn.init.normal_(layer.weight)
                nn.init.normal_(layer.bias)
                layer.running_mean.normal_()  # type: ignore[union-attr]
                layer.running_var.uniform_(0.2, 2)  # type: ignore[union-attr]
    return model


def test_forward_is_pytorch_s(
    node: Node, weights: ModuleType, mini: Dataset, tmp_path: Path
) -> None:
    model = random_net()
    run = Run.load(DOCS / "records" / "reference" / "seed0.json")
    exported = onnx.load(export_onnx(model, run, tmp_path / "random.onnx"))
    images = mini.test_images[::50]
    value = {
        "network": {"layers": list(weights.layers(exported))},
        "images": images.flatten(1).tolist(),
    }
    found = torch.tensor([a["scores"] for a in node("forward_vectors.mjs", value)["answers"]])
    with torch.no_grad():
        expected = model(normalize(to_float(images)))
    assert expected.std() > 0.1
    assert (found - expected).abs().max() < LARGEST_ERROR
    assert (found[:-1] - expected[1:]).abs().max() > 100 * LARGEST_ERROR  # of another image


def test_the_page_s_network_is_that_of_its_record_and_reads_digits(
    node: Node, mini: Dataset
) -> None:
    value = {"network": None, "images": mini.test_images[::5].flatten(1).tolist()}
    found = node("forward_vectors.mjs", value)
    record = Run.load(DOCS / "records" / "reference" / f"seed{found['source']['seed']}.json")
    assert record.rows[-1].test_accuracy == found["source"]["test_accuracy"]
    answers = torch.tensor([a["scores"] for a in found["answers"]]).argmax(1)
    right = (answers == mini.test_labels[::5]).float().mean().item()
    assert right >= 0.98


def test_a_digit_of_mnist_is_centered_and_read_as_before(node: Node, mini: Dataset) -> None:
    images = mini.test_images[::100]
    found = node("forward_vectors.mjs", {"network": None, "images": images.flatten(1).tolist()})
    for answer in found["answers"]:
        centered = torch.tensor(answer["centered"], dtype=torch.float32).view(28, 28)
        rows = torch.arange(28) + 0.5
        for axis in (0, 1):
            assert (centered.sum(1 - axis) @ rows / centered.sum()).item() == pytest.approx(
                14, abs=0.6
            )
            inked = (centered.sum(1 - axis) > 0).sum().item()
            assert inked <= 22  # 20 and what lies across two pixels
        assert torch.tensor(answer["again"]).argmax() == torch.tensor(answer["scores"]).argmax()


def test_an_empty_drawing_is_no_digit(node: Node) -> None:
    found = node("forward_vectors.mjs", {"network": None, "images": [[0] * 784]})
    assert found["answers"][0]["centered"] == []
