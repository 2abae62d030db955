"""Before training, a network that can't be trained is answered with what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from eva.blocks import conv_block, gap_head
from eva.data import Dataset
from eva.errors import ForwardError, TrainingError
from eva.recipe import SGD, Recipe
from eva.training.trainer import Trainer
from eva.training.trial import try_model

RECIPE = Recipe(epochs=1, batch_size=64, optimizer=SGD(0.05))
CPU = torch.device("cpu")


class Net(nn.Module):
    def __init__(self, forward: Callable[[Net, Tensor], object]) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 10, 1)
        self.linear = nn.Linear(100, 10)
        self.function = forward

    def scores(self, x: Tensor) -> Tensor:
        return self.head(self.conv(x).relu()).mean((2, 3))

    def forward(self, x: Tensor) -> object:
        return self.function(self, x)


def outputs(count: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, count)
    )


def through_numpy(net: Net, x: Tensor) -> Tensor:
    return torch.from_numpy(np.maximum(net.scores(x).detach().numpy(), 0))


BAD = {
    "9 classes": (lambda: outputs(9), ["(64, 10)", "(64, 9)", "last layer have 10 outputs"]),
    "11 classes": (lambda: outputs(11), ["(64, 11)", "last layer have 10 outputs"]),
    "a tuple": (lambda: Net(lambda n, x: (n.scores(x), x)), ["a tuple", "scores alone"]),
    "a dict": (lambda: Net(lambda n, x: {"y": n.scores(x)}), ["a dict", "scores alone"]),
    "nothing": (lambda: Net(lambda n, x: None), ["NoneType", "end with `return`"]),
    "one axis": (lambda: Net(lambda n, x: n.scores(x).mean(0)), ["(10,)", "flatten(1)"]),
    "all in a row": (lambda: Net(lambda n, x: n.scores(x).view(-1)), ["(640,)", "flatten(1)"]),
    "a map": (
        lambda: Net(lambda n, x: n.scores(x)[:, :, None, None]),
        ["(64, 10, 1, 1)", "Flatten the last map"],
    ),
    "a wrong Linear": (
        lambda: Net(lambda n, x: n.linear(n.conv(x).flatten(1))),
        ["layer linear (Linear), which got (64, 2704)", "mat1 and mat2", "test_trial.py", "lambda"],
    ),
    "a wrong view": (
        lambda: Net(lambda n, x: n.linear(n.conv(x).view(-1, 16 * 7 * 7))),
        ["'[-1, 784]' is invalid", "test_trial.py", "16 * 7 * 7"],
    ),
    "a view over images": (
        lambda: Net(lambda n, x: F.max_pool2d(n.head(n.conv(x)), 5).contiguous().view(-1, 10)),
        ["(1600, 10)", "`x.flatten(1)`"],
    ),
    "a batch of its own": (lambda: Net(lambda n, x: n.scores(x).view(128, 10)), ["(128, 10)"]),
    "numpy": (lambda: Net(lambda n, x: n.scores(x).numpy()), ["numpy()", "PyTorch's functions"]),
    "detached for numpy": (lambda: Net(through_numpy), ["nothing can be learned", ".numpy()"]),
    "no_grad": (lambda: Net(torch.no_grad()(Net.scores)), ["nothing can be", "torch.no_grad()"]),
    "argmax": (lambda: Net(lambda n, x: n.scores(x).argmax(1)), ["(64,)", "leave argmax out"]),
    "whole numbers": (lambda: Net(lambda n, x: n.scores(x).long()), ["torch.int64", "floats"]),
    "NaN": (lambda: Net(lambda n, x: n.scores(x) / 0 * 0), ["640 of the 640", "division by zero"]),
    "color": (lambda: nn.Conv2d(3, 10, 3), ["to have 3 channels, but got 1"]),
    "half": (lambda: outputs(10).half(), ["Leave .half() and .double()"]),
    "lazy": (lambda: nn.Sequential(nn.LazyConv2d(10, 3)), ["0.weight", "nn.Conv2d(1, 8, 3)"]),
    "exit": (lambda: Net(lambda n, x: exit(3)), ["SystemExit", "forward()"]),
    "frozen": (lambda: outputs(10).requires_grad_(False), ["nothing can be learned"]),
}


@pytest.mark.parametrize("name", BAD)
def test_what_can_not_be_trained_is_said_before_training(name: str, tiny: Dataset) -> None:
    make, words = BAD[name]
    with pytest.raises(ForwardError) as caught:
        Trainer(make(), RECIPE, tiny, device="cpu")
    for word in words:
        assert word in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there, .cuda() works")
def test_cuda_inside_a_network_is_left_to_the_trainer(tiny: Dataset) -> None:
    with pytest.raises(ForwardError, match=r"Leave \.cuda\(\) and \.to\(device\) out"):
        Trainer(Net(lambda n, x: n.scores(x.cuda())), RECIPE, tiny, device="cpu")


def test_changing_a_value_that_is_needed_later_is_named(tiny: Dataset) -> None:
    def forward(net: Net, x: Tensor) -> Tensor:
        scores = net.scores(x).sigmoid()
        doubled = scores * scores
        scores += 1
        return doubled

    with pytest.raises(ForwardError, match=r"backward pass raised[\s\S]*in place"):
        Trainer(Net(forward), RECIPE, tiny, device="cpu")


def test_a_last_batch_of_one_image_is_seen_before_training(tiny: Dataset) -> None:
    model = nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(1, 10)
    )
    recipe = RECIPE.model_copy(update={"batch_size": 23})  # 300 is 13 times 23, and 1
    with pytest.raises(ForwardError, match="choose another batch_size"):
        Trainer(model, recipe, tiny, device="cpu")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("net.py", RECIPE, None), ["model", "'net.py'", "Trainer(build_model"]),
        ((outputs(10), {"epochs": 1}, None), ["recipe", "Recipe("]),
        ((outputs(10), RECIPE, "mnist"), ["data", "'mnist'", 'eva.load_data("mnist")']),
    ],
)
def test_arguments_of_another_kind_are_named(arguments: tuple, words: list[str]) -> None:
    with pytest.raises(TrainingError) as caught:
        Trainer(*arguments)
    for word in words:
        assert word in str(caught.value)


class Ghost(nn.BatchNorm2d):
    """BatchNorm over parts of a batch; it needs a batch that can be divided."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        return torch.cat([super(Ghost, self).forward(part) for part in x.view(4, -1, *x.shape[1:])])


def test_what_runs_with_the_recipes_batch_is_trained(tiny: Dataset) -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), Ghost(4), nn.ReLU(), gap_head(4))
    assert Trainer(model, RECIPE, tiny, device="cpu").fit().status == "finished"


def test_a_network_is_known_by_what_it_runs(tiny: Dataset) -> None:
    def digest(model: nn.Module) -> str:
        return try_model(model, tiny, 64, CPU).network

    def net(padding: int = 0, dropout: float = 0.1, relu: type[nn.Module] = nn.ReLU) -> nn.Module:
        body = nn.Conv2d(1, 4, 3, padding=padding), relu(), nn.Dropout(dropout)
        return nn.Sequential(*body, conv_block(4, 4), gap_head(4))

    same = digest(net())
    assert same == digest(net())  # with other weights
    others = net(padding=1), net(dropout=0.2), net(relu=nn.GELU)
    assert len({same, *map(digest, others)}) == 4
