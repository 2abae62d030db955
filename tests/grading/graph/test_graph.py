"""The graph: both ways through JSON and bytes, counted right, and no trust in what it reads."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from eva.errors import GradingError
from eva.experiments import exp5
from eva.grading.graph.capture import capture
from eva.grading.graph.conversion import Uncountable
from eva.grading.graph.counting import count_stored
from eva.grading.graph.execution import GraphModule
from eva.grading.graph.export import export_graph, unwrap
from eva.grading.graph.graph import MAX_NODES, Graph
from eva.grading.graph.helpers import random_operation
from eva.grading.graph.nodes import Role
from eva.grading.graph.running_statistics import running_statistics
from eva.grading.graph.serialization import MAX_STORED

SIZE = (1, 28, 28)
LAZY = Path(__file__).parents[1] / "submissions" / "honest" / "lazy.py"


@pytest.fixture(scope="module")
def graph() -> Graph:
    torch.manual_seed(0)
    return export_graph(exp5.build_model(), SIZE)


def test_graph_survives_json_and_bytes(graph: Graph) -> None:
    text = json.dumps(graph.to_json(), allow_nan=False)
    again = Graph.from_json(json.loads(text), graph.to_bytes())
    assert again.to_json() == graph.to_json()
    assert again.to_bytes() == graph.to_bytes()
    images = torch.randn(7, *SIZE)
    for training in (False, True):
        first, second = GraphModule(graph).train(training), GraphModule(again).train(training)
        assert torch.equal(first(images), second(images))


def test_infinite_numbers_and_every_dtype_survive() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("order", torch.tensor([1, 0]))
            self.register_buffer("mask", torch.tensor([True, False]).view(1, 2, 1, 1))
            self.conv = nn.Conv2d(1, 2, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.conv(x)[:, self.order].masked_fill(self.mask, float("-inf"))
            return x.amax((2, 3)).clamp(min=-1e9)

    graph = export_graph(Net(), SIZE)
    text = json.dumps(graph.to_json(), allow_nan=False)
    again = GraphModule(Graph.from_json(json.loads(text), graph.to_bytes())).eval()
    images = torch.randn(3, *SIZE)
    assert torch.equal(again(images), GraphModule(graph).eval()(images))


def test_state_of_the_graph_module_has_the_names_of_the_model(graph: Graph) -> None:
    model = exp5.build_model()
    assert GraphModule(graph).state_dict().keys() == model.state_dict().keys()
    GraphModule(graph).load_state_dict(model.state_dict())


def test_train_program_moves_running_statistics_and_eval_program_does_not(graph: Graph) -> None:
    module = GraphModule(graph)
    before = {k: v.clone() for k, v in module.named_buffers()}
    module.eval()(torch.randn(4, *SIZE))
    assert all(torch.equal(v, before[k]) for k, v in module.named_buffers())
    module.train()(torch.randn(4, *SIZE))
    assert not any(torch.equal(v, before[k]) for k, v in module.named_buffers())


def test_another_seed_draws_other_weights_into_the_same_graph() -> None:
    captured = capture(LAZY)
    one, same, other = captured.trainable(0), captured.trainable(0), captured.trainable(1)
    built = capture(LAZY, seed=1).trainable()
    for name, parameter in other.state_dict().items():
        assert torch.equal(parameter, built.state_dict()[name])
    weight = "0.weight"
    assert torch.equal(one.state_dict()[weight], same.state_dict()[weight])
    assert not torch.equal(one.state_dict()[weight], other.state_dict()[weight])


def test_digest_is_of_what_trains() -> None:
    first, again = capture(LAZY), capture(LAZY)
    assert first.digest == again.digest
    assert first.digest != capture(LAZY, seed=1).digest
    assert capture("nowhere.py").digest == ""


def edit(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    value = copy.deepcopy(value)
    place = value
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = new
    return value


@pytest.mark.parametrize(
    ("path", "new", "words"),
    [
        (("schema",), 99, "schema 99"),
        (("stored",), None, "'stored' is of type list"),
        (("train",), [], "the train program is a JSON object"),
        (("train", "nodes", 0, "op"), "aten.from_file.default", "not one of PyTorch's"),
        (("train", "nodes", 0, "op"), "os.system", "not one of PyTorch's"),
        (("train", "nodes", 0, "op"), "aten.__class__.x", "not one of PyTorch's"),
        (("eval", "nodes", 1, "args"), [{"ref": "nobody"}], "reads 'nobody'"),
        (("eval", "nodes", 1, "outputs"), ["input"], "writes 'input' a second time"),
        (("eval", "nodes", 1, "args"), [{"code": "1"}], "not understood"),
        (("eval", "nodes", 1, "grad"), 1, "'grad' is of type bool"),
        (("eval", "output"), "nobody", "returns 'nobody'"),
        (("stored", 0, "shape"), [10**9], "impossible shape"),
        (("stored", 0, "shape"), [MAX_STORED], "at most"),
        (("stored", 0, "shape"), [9, 1, 3, 2], "bytes, got"),
        (("stored", 0, "dtype"), "object", "not understood"),
        (("stored", 0, "role"), "teacher", "not understood"),
        (("stored", 0, "name"), "conv_block_1.3.weight", "one name"),
    ],
)
def test_damaged_graph_is_refused(graph: Graph, path: Any, new: Any, words: str) -> None:
    with pytest.raises(GradingError, match=words.replace("(", r"\(")):
        Graph.from_json(edit(graph.to_json(), path, new), graph.to_bytes())


def test_graph_of_too_many_operations_is_refused(graph: Graph) -> None:
    value: Any = graph.to_json()
    value["eval"]["nodes"] = value["eval"]["nodes"][:1] * (MAX_NODES + 1)
    with pytest.raises(GradingError, match="operations"):
        Graph.from_json(value, graph.to_bytes())


def test_statistics_of_batch_norm_are_not_counted_and_all_else_is(graph: Graph) -> None:
    statistics = running_statistics(graph)
    assert len(statistics) == 3 * 6
    stored = {s.name for s in graph.stored if s.role is Role.BUFFER}
    assert statistics == stored
    assert count_stored(graph, SIZE).total == 7753


def test_shared_tensor_counts_once_and_unread_one_not_at_all() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 3, bias=False)
            self.again = self.conv
            self.unused = nn.Linear(100, 100)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.again(self.conv(x)).mean((2, 3))

    assert count_stored(export_graph(Net(), SIZE), SIZE).total == 9


def test_zeros_and_channel_shuffles_are_no_hidden_weights() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 4, 3, bias=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.conv(x)
            zeros = torch.zeros(x.shape[0], 4, 26, 26)
            x = torch.cat([x, zeros], dim=1)
            return x.view(x.shape[0], 2, 4, 26, 26).transpose(1, 2).flatten(1, 2).mean((2, 3))

    assert count_stored(export_graph(Net(), SIZE), SIZE).total == 36


def test_dropout_draws_in_train_mode_alone() -> None:
    graph = export_graph(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Dropout(0.5)), SIZE)
    assert random_operation(graph.train) == "dropout"
    assert random_operation(graph.eval) is None


def test_compiled_submodules_are_unwrapped() -> None:
    model = nn.Sequential(torch.compile(nn.Conv2d(1, 2, 3)), nn.ReLU())
    assert [type(m).__name__ for m in unwrap(model)] == ["Conv2d", "ReLU"]


def test_kept_generator_is_uncountable() -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + torch.randn(28, generator=torch.Generator().manual_seed(0))

    with pytest.raises(Uncountable, match="Generator"):
        export_graph(Net(), SIZE)
