"""Which way a training goes: the rule of ``auto``, and what a trial leaves behind."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from eva.data import load_mini
from eva.errors import DeviceError
from eva.experiments.network import Net
from eva.grading.graph.capture import capture
from eva.kernels import compile as compiling
from eva.kernels.compile import REPAID, Path, choose_path
from eva.kernels.cpu_dispatch import fits_cpu_kernel, use_batch_last
from eva.kernels.folding import batch_affine
from eva.kernels.targets import name_calls
from eva.recipe import Recipe
from eva.submission import module_of
from eva.training.trainer import Trainer

IMAGES = torch.randn(32, 1, 12, 12)


def build() -> nn.Module:
    """A small network with everything that is rewritten."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(4),
        nn.Conv2d(4, 6, 3),
        nn.BatchNorm2d(6),
        nn.ReLU(inplace=True),
        nn.Conv2d(6, 10, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernels run on this machine, whatever it is."""
    monkeypatch.setattr(compiling, "why_not_here", lambda: None)


def fake(
    monkeypatch: pytest.MonkeyPatch, fits: list[bool], change: Callable[[Tensor], Tensor]
) -> None:
    """In the compiler's place: the model itself, and ``change`` of its scores."""

    def compiled(model: nn.Module, size: int, ours: list[bool]) -> Callable[[Tensor], Tensor]:
        ours.extend(fits)
        return lambda images: change(model(images))

    monkeypatch.setattr(compiling, "compile_model", compiled)


def choose(model: nn.Module, mode: str = "auto", total: int = REPAID, **options: Any) -> Path:
    return choose_path(model, IMAGES, mode=mode, total=total, **options)


def test_a_long_training_of_a_network_that_fits_is_compiled(
    here: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(monkeypatch, [True], lambda scores: scores * 1)
    path = choose(build())
    assert path.compiled
    assert path.why == "Compiled: eva's kernels take this network."


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"mode": "off"}, "Plain, as asked"),
        ({"total": REPAID - 1}, "from 300,000 images on, and this training sees 299,999"),
        ({"bf16": True}, "eva's kernels are for float32"),
    ],
)
def test_these_are_plain_before_anything_is_compiled(
    options: dict[str, Any], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "compile_model", lambda *_: pytest.fail("compiled"))
    model = build()
    path = choose(model, **options)
    assert path.forward is model and not path.compiled
    assert why in path.why


@pytest.mark.parametrize("fits", [[False], [], [True, True], [True, False]])
def test_a_network_that_the_kernels_do_not_take_whole_is_plain(
    fits: list[bool], here: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(monkeypatch, fits, lambda scores: scores)
    assert "Plain: eva's kernels are for networks without branches" in choose(build()).why


def test_other_gradients_are_not_trained_with(here: None, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, [True], lambda scores: scores * 1.1)
    assert choose(build()).why == "Plain: compiled, its gradients are others."


def test_a_compiler_that_fails_costs_a_line(here: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(scores: Tensor) -> Tensor:
        raise RuntimeError("no such header\nand much more")

    fake(monkeypatch, [], broken)
    assert choose(build()).why == "Plain: compiling failed: no such header"
    monkeypatch.setattr(compiling, "compile_model", lambda model, size: broken)
    with pytest.raises(DeviceError, match="can't be compiled: no such header"):
        choose(build(), mode="on")


def test_without_kernels_here_it_is_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "why_not_here", lambda: "there is no g++.")
    assert choose(build()).why == "Plain: there is no g++."


def test_there_are_three_modes() -> None:
    with pytest.raises(DeviceError, match="compiled auto, on or off, got 'yes'"):
        choose(build(), mode="yes")


def test_a_trial_leaves_everything_as_it_was(here: None, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(monkeypatch, [True], lambda scores: scores * 1)
    model = nn.Sequential(build(), nn.Dropout(0.5)).eval()
    before = copy.deepcopy(model.state_dict())
    torch.manual_seed(0)
    assert choose(model).compiled
    drawn = torch.rand(3)
    torch.manual_seed(0)
    assert torch.equal(drawn, torch.rand(3))
    assert not model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(weight.grad is None for weight in model.parameters())


def test_short_trainings_are_plain_and_say_so() -> None:
    data = load_mini()
    recipe = Recipe(epochs=2, batch_size=64)
    run = Trainer(Net((4, 4, 4, 8, 8, 8)), recipe, data, device="cpu").run
    assert not run.device.compiled
    assert run.path.startswith("Plain: compiling repays itself from 300,000 images on")


def rewritten(model: nn.Module, images: Tensor) -> tuple[Tensor, list[fx.GraphModule]]:
    """Scores of a model whose operations are rewritten and run by PyTorch as they are."""
    modules = []

    def backend(module: fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        name_calls(module)
        assert fits_cpu_kernel(module)
        use_batch_last(module)
        modules.append(module)
        return module.forward

    torch._dynamo.reset()
    return torch.compile(model, backend=backend, dynamic=False)(images), modules


@pytest.mark.parametrize("captured", [False, True])
def test_a_network_and_its_captured_graph_are_rewritten_alike(captured: bool) -> None:
    """The judge trains a graph of aten's overloads, a student a module."""
    if compiling.why_not_here():
        pytest.skip("the kernels do not run here")

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = Net((4, 4, 6, 8, 8, 6))
            self.more = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.BatchNorm2d(1))

        def forward(self, x: Tensor) -> Tensor:
            return self.net(F.relu_(self.more(x)))

    model: nn.Module = Whole()
    if captured:
        model = capture(module_of(Whole, Recipe(epochs=1))).trainable(0)
    other = copy.deepcopy(model)
    images = torch.randn(32, 1, 28, 28)
    ours, modules = rewritten(other, images)
    targets = [node.target for module in modules for node in module.graph.nodes]
    names = [getattr(target, "__name__", "") for target in targets]
    assert names.count("folded_norm") == 6 and batch_affine not in targets
    assert names.count("norm_and_relu") == 1 and F.batch_norm not in targets
    assert names.count("conv2d") == 8 and F.conv2d not in targets
    theirs = model(images)
    weights = torch.randn_like(theirs)
    (ours * weights).sum().backward()
    (theirs * weights).sum().backward()
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(other.state_dict(), model.state_dict(), rtol=1e-3, atol=1e-4)
    mine, right = (
        torch.cat([weight.grad.flatten() for weight in one.parameters()]) for one in (other, model)
    )
    assert (mine - right).norm() < 1e-3 * right.norm()
