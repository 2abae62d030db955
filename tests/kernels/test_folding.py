"""A folded network computes what the network computes: scores, gradients, running statistics."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from eva.data import load_mini
from eva.errors import DeviceError
from eva.experiments import exp5
from eva.experiments.frontier import under_5000
from eva.experiments.network import Net
from eva.kernels.compile import compile_model
from eva.kernels.cpu_kernels import compiler
from eva.kernels.folding import fold
from eva.kernels.targets import name_calls
from eva.recipe import SGD, Recipe
from eva.training.trainer import Trainer

SMALL = (4, 3, 10, 10)  # batch, channels, height, width


def norm(channels: int, **options: Any) -> nn.BatchNorm2d:
    """BatchNorm with scales of both signs and statistics that are not those of the start."""
    layer = nn.BatchNorm2d(channels, **options)
    with torch.no_grad():
        for value in (*layer.parameters(), *layer.buffers()):
            if value.is_floating_point():
                value.copy_(torch.randn(value.shape))
        if layer.running_var is not None:
            layer.running_var.abs_()
        if layer.affine:
            layer.weight[0] = -0.7
    return layer


def compiled(model: nn.Module, counts: list[int]) -> Callable[[Tensor], Tensor]:
    """The folded operations as they are, so that no C++ compiler is needed."""

    def backend(module: fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        name_calls(module)
        counts.append(fold(module))
        return module.forward

    torch._dynamo.reset()
    return torch.compile(model, backend=backend)


def both(model: nn.Module, shape: tuple[int, ...] = SMALL, train: bool = True) -> int:
    """Compare a model with its folded copy in double precision; how many were folded."""
    model = model.double().train(train)
    other = copy.deepcopy(model)
    counts: list[int] = []
    folded = compiled(other, counts)
    for _ in range(2):  # the second reads what the first wrote into the running statistics
        x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
        y = x.detach().clone().requires_grad_()
        ours, theirs = folded(x), model(y)
        torch.testing.assert_close(ours, theirs)
        weights = torch.randn_like(ours)
        (ours * weights).sum().backward()
        (theirs * weights).sum().backward()
        torch.testing.assert_close(x.grad, y.grad)
    torch.testing.assert_close(other.state_dict(), model.state_dict())
    for ours, theirs in zip(other.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)
    return sum(counts)


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize(
    "layers",
    [
        (nn.ReLU(), norm(3), nn.Conv2d(3, 5, 3)),
        (nn.ReLU(), norm(3), nn.Conv2d(3, 5, 3, bias=False, stride=2, dilation=2)),
        (nn.ReLU(), norm(3), nn.Conv2d(3, 6, 3, groups=3)),
        (nn.ReLU(), norm(3), nn.Conv2d(3, 2, 1, padding="valid")),
        (nn.ReLU(), norm(3, affine=False), nn.Conv2d(3, 5, 3)),
        (nn.ReLU(), norm(3, track_running_stats=False), nn.Conv2d(3, 5, 3)),
        (nn.ReLU(), norm(3), nn.MaxPool2d(2), nn.Conv2d(3, 5, 3)),
        (norm(3), nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True), nn.Conv2d(3, 5, 3)),
        (norm(3), nn.MaxPool2d(2), nn.Conv2d(3, 9, 3, groups=3, bias=False)),
    ],
    ids=lambda layers: "-".join(type(layer).__name__ for layer in layers),
)
def test_a_folded_norm_changes_nothing(layers: tuple[nn.Module, ...], train: bool) -> None:
    assert both(nn.Sequential(*copy.deepcopy(layers)), train=train) == 1


@pytest.mark.parametrize("model", [exp5, under_5000], ids=["exp5", "frontier"])
def test_whole_networks_are_folded_throughout(model: Any) -> None:
    norms = sum(isinstance(part, nn.BatchNorm2d) for part in model.build_model().modules())
    assert both(model.build_model(), (6, 1, 28, 28)) == norms


class Functional(nn.Module):
    """The same without a module for anything."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(5, 3, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        x = F.batch_norm(F.relu(x), None, None, training=True)
        return F.conv2d(F.max_pool2d(x, kernel_size=2), weight=self.weight)


def test_functional_calls_are_folded_too() -> None:
    assert both(Functional()) == 1


class Named(nn.Module):
    """A BatchNorm that is given its input by its name."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(5, 3, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        x = F.batch_norm(input=x * 1.0, running_mean=None, running_var=None, training=True)
        return F.conv2d(weight=self.weight, input=x)


def test_arguments_by_name_are_folded_too() -> None:
    assert both(Named()) == 1


class Weights(nn.Module):
    """A BatchNorm whose result is a convolution's weights."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.norm = nn.Parameter(torch.randn(5, 3, 3, 3)), norm(3)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.norm(self.weight * 1.0))


class Beside(nn.Module):
    """A BatchNorm that another operation reads too, or that shares its input."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.norm, self.conv = how, norm(3), nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = x * 1.0
        y = self.norm(x)
        if self.how == "norm read twice":
            return self.conv(y) + y
        return self.conv(y) + x


@pytest.mark.parametrize(
    "model",
    [
        Beside("norm read twice"),
        Beside("input read twice"),
        Weights(),
        nn.Sequential(norm(3), nn.Conv2d(3, 5, 3, padding=1)),  # the border is not a channel's
        nn.Sequential(norm(3), nn.Conv2d(3, 5, 3, padding="same")),
        nn.Sequential(norm(3), nn.ReLU(), nn.Conv2d(3, 5, 3)),
        nn.Sequential(norm(3), nn.ConvTranspose2d(3, 5, 3)),
        nn.Sequential(norm(3, momentum=None), nn.Conv2d(3, 5, 3)),  # counts batches in Python
    ],
    ids=["norm", "input", "weights", "padded", "same", "relu between", "transposed", "counting"],
)
def test_what_cannot_be_folded_is_left_alone(model: nn.Module) -> None:
    assert both(model) == 0


def test_a_wrong_fold_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: a pool that forgets the sign of the scale."""
    monkeypatch.setattr("eva.kernels.folding.sign_of_affine", lambda affine, x: (x, affine[0]))
    with pytest.raises(AssertionError, match="not close"):
        both(nn.Sequential(norm(3), nn.MaxPool2d(2), nn.Conv2d(3, 5, 3)))


def test_no_compiler_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(DeviceError, match=r"no no-such-compiler here[\s\S]*with --compile off"):
        compile_model(nn.Identity(), 128)


@pytest.mark.skipif(shutil.which(compiler()) is None, reason="no compiler")
def test_a_compiled_run_learns_as_a_plain_one_does() -> None:
    data = load_mini()
    data = replace(data, train_images=data.train_images[::10], train_labels=data.train_labels[::10])
    recipe = Recipe(epochs=3, batch_size=64, optimizer=SGD(lr=0.02))  # 400 images: 6 and a bit
    runs = []
    for way in ("off", "on"):
        torch.manual_seed(0)
        model = Net((4, 4, 4, 8, 8, 8))
        runs.append(Trainer(model, recipe, data, device="cpu", compiled=way).fit())
    plain, fast = runs
    assert fast.device.compiled and not plain.device.compiled
    for one, other in zip(plain.rows, fast.rows, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, rel=1e-2)
    assert fast.rows[-1].train_loss < fast.rows[0].train_loss - 0.2
