"""Our convolutions on a CPU against PyTorch's, and which networks get them."""

from __future__ import annotations

import copy
import ctypes
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from eva.data import load_mini
from eva.experiments import exp5
from eva.experiments.network import Net
from eva.kernels import cpu_dispatch, cpu_kernels
from eva.kernels.compile import compile_model
from eva.kernels.targets import name_calls
from eva.recipe import SGD, Recipe
from eva.record import EpochRow
from eva.training.callbacks import Callback, StopTraining
from eva.training.trainer import Trainer

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which(cpu_kernels.compiler()) is None,
    reason="the kernels are for Linux, and take a compiler",
)

TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}
# batch, inputs, height, width, outputs, side, padding, groups
CONVOLUTIONS = [
    (32, 1, 8, 9, 9, 3, 0, 1),
    (32, 9, 26, 5, 9, 3, 0, 1),
    (64, 9, 7, 6, 16, 3, 1, 1),
    (32, 3, 7, 6, 2, 3, 2, 1),
    (96, 16, 5, 5, 10, 1, 0, 1),
    (32, 2, 9, 6, 7, 5, 2, 1),
    (32, 14, 6, 5, 24, 5, 4, 1),
    (32, 1, 5, 1, 1, 5, 2, 1),  # narrower than its window
    (32, 6, 6, 7, 6, 3, 1, 6),
    (32, 6, 6, 7, 12, 3, 0, 3),
    (32, 28, 6, 7, 28, 3, 0, 2),
]


@pytest.fixture(params=["AVX512", "AVX2", "DEFAULT"])
def kernels(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Path]:
    """Where the library is that is used: one for each width of vectors that this processor has.

    Three threads share the work, which no number of rows or images of a block is sure to fit.
    """
    here = torch.backends.cpu.get_cpu_capability()
    order = ["DEFAULT", "AVX2", "AVX512"]
    if here not in order or order.index(request.param) > order.index(here):
        pytest.skip(f"this processor has {here}")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: request.param)
    path = cpu_kernels.build(tmp_path_factory.getbasetemp().parent / "kernels")
    library = ctypes.CDLL(str(path))
    monkeypatch.setattr(cpu_kernels, "library", lambda: library)
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    yield path
    torch.set_num_threads(threads)


def leaf(*shape: int) -> Tensor:
    """Random numbers that want a gradient."""
    return torch.randn(shape, requires_grad=True)


@pytest.mark.parametrize("sizes", CONVOLUTIONS)
def test_a_convolution_and_its_gradients_are_those_of_pytorch(
    kernels: Path, sizes: tuple[int, ...]
) -> None:
    batch, inputs, height, width, outputs, side, padding, groups = sizes
    x, weight = leaf(batch, inputs, height, width), leaf(outputs, inputs // groups, side, side)
    bias = leaf(outputs)
    y = cpu_dispatch.conv2d(x, weight, bias, padding=(padding, padding), groups=groups)
    exact = [part.detach().double().requires_grad_() for part in (x, weight, bias)]
    expected = F.conv2d(*exact, padding=padding, groups=groups)
    torch.testing.assert_close(y.double(), expected, **TOLERANCE)
    dy = torch.randn_like(y)
    ours = torch.autograd.grad(y, (x, weight, bias), dy)
    theirs = torch.autograd.grad(expected, exact, dy.double())
    for mine, right in zip(ours, theirs, strict=True):
        assert mine.shape == right.shape
        torch.testing.assert_close(mine.double(), right, **TOLERANCE)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("shape", [(32, 3, 5, 7), (96, 2, 4, 1), (64, 5, 1, 3)])
def test_a_norm_and_its_gradients_are_those_of_pytorch(
    kernels: Path, shape: tuple[int, ...], relu: bool
) -> None:
    """Far from zero, where a variance from sums of squares would lose its digits."""
    x = (torch.randn(shape) + 30).requires_grad_()
    channels = shape[1]
    weight, bias = leaf(channels), leaf(channels)
    running = [torch.randn(channels), torch.rand(channels)]
    exact = [part.detach().double().requires_grad_() for part in (x, weight, bias)]
    other = [part.double() for part in running]
    y = cpu_dispatch.norm_and_relu(x, *running, weight, bias, True, 0.3, 1e-2, relu=relu)
    expected = F.batch_norm(exact[0], *other, *exact[1:], True, 0.3, 1e-2)
    expected = F.relu(expected) if relu else expected
    dy = torch.randn_like(y)
    ours = torch.autograd.grad(y, (x, weight, bias), dy)
    theirs = torch.autograd.grad(expected, exact, dy.double())
    for mine, right in zip((y, *running, *ours), (expected, *other, *theirs), strict=True):
        torch.testing.assert_close(mine.double(), right, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_a_norm_folded_by_the_kernels_is_that_of_pytorch(
    kernels: Path, groups: int, relu: bool, pooled: bool, training: bool
) -> None:
    """Scales have both signs, and a max-pool lies between norm and convolution, or not."""
    x, beta, bias = leaf(64, 4, 8, 7), leaf(4), leaf(6)
    gamma = torch.tensor([0.7, -0.7, 1.3, -0.1], requires_grad=True)
    weight = leaf(6, 4 // groups, 3, 3)
    running = [torch.randn(4), torch.rand(4)]
    leaves = (x, gamma, beta, weight, bias)
    exact = [part.detach().double().requires_grad_() for part in leaves]
    other = [part.double() for part in running]
    y, taken, moved = cpu_dispatch.folded_norm(
        x,
        *running,
        gamma,
        beta,
        training,
        0.3,
        1e-3,
        conv_weight=weight,
        conv_bias=bias,
        groups=groups,
        relu=relu,
        pooled=pooled,
    )
    y = cpu_dispatch.max_pool2d(y, 2) if pooled else y
    y = cpu_dispatch.conv2d(y, taken, moved, groups=groups)
    right = F.relu(exact[0]) if relu else exact[0]
    right = F.batch_norm(right, *other, *exact[1:3], training, 0.3, 1e-3)
    right = F.max_pool2d(right, 2) if pooled else right
    right = F.conv2d(right, exact[3], exact[4], groups=groups)
    dy = torch.randn_like(y)
    ours = torch.autograd.grad(y, leaves, dy)
    theirs = torch.autograd.grad(right, exact, dy.double())
    for mine, their in zip((y, *running, *ours), (right, *other, *theirs), strict=True):
        torch.testing.assert_close(mine.double(), their, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("side", "stride", "height", "width"), [(2, 2, 6, 8), (2, 2, 7, 5), (3, 2, 9, 6), (3, 1, 5, 5)]
)
def test_a_max_pool_is_pytorchs_and_its_gradient_goes_to_the_first_of_equals(
    kernels: Path, side: int, stride: int, height: int, width: int
) -> None:
    x = torch.randint(0, 3, (32, 5, height, width)).float().requires_grad_()  # many are equal
    y = cpu_dispatch.max_pool2d(x, side, stride)
    expected = F.max_pool2d(x, side, stride)
    torch.testing.assert_close(y, expected, rtol=0, atol=0)
    dy = torch.randn_like(y)
    ours, theirs = (torch.autograd.grad(result, x, dy)[0] for result in (y, expected))
    torch.testing.assert_close(ours, theirs)


def test_what_is_not_a_number_stays_so(kernels: Path) -> None:
    x = torch.zeros(32, 1, 4, 4)
    x[3, 0, 1, 1] = x[4, 0, 0, 0] = float("nan")
    pooled = cpu_dispatch.max_pool2d(x, 2)
    torch.testing.assert_close(pooled, F.max_pool2d(x, 2), equal_nan=True)
    assert pooled.isnan().sum() == 2
    scores = cpu_dispatch.conv2d(x, torch.ones(2, 1, 3, 3))
    torch.testing.assert_close(scores, F.conv2d(x, torch.ones(2, 1, 3, 3)), equal_nan=True)


def test_the_same_gradients_twice_to_the_bit(kernels: Path) -> None:
    x, weight = torch.randn(128, 9, 24, 24), torch.randn(9, 9, 3, 3)
    dy = torch.randn(128, 9, 22, 22)
    weight.requires_grad_()
    first, *others = (
        torch.autograd.grad(cpu_dispatch.conv2d(x, weight), weight, dy)[0] for _ in range(8)
    )
    assert all(torch.equal(first, other) for other in others)


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ((2, 2, 1), {}),
        (((2, 1),), {}),
        ((2, (1, 2)), {}),
        ((2, 1, 0, 2), {}),
        ((2,), {"ceil_mode": True}),
        ((2,), {"return_indices": True}),
    ],
)
def test_a_pool_that_the_kernel_does_not_do_is_pytorchs(
    arguments: tuple[Any, ...], options: dict[str, bool]
) -> None:
    x = torch.randn(32, 3, 7, 7)
    ours = cpu_dispatch.max_pool2d(x, *arguments, **options)
    theirs = F.max_pool2d(x, *arguments, **options)
    torch.testing.assert_close(ours, theirs)


def ours(model: nn.Module, *shape: int, dtype: torch.dtype = torch.float32) -> list[bool]:
    """Whether each graph of a model fits, asked as the compiler's backend asks."""
    answers = []

    def backend(module: fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        name_calls(module)
        answers.append(cpu_dispatch.fits_cpu_kernel(module))
        return module.forward

    torch._dynamo.reset()
    torch.compile(model.to(dtype), backend=backend)(torch.randn(shape, dtype=dtype))
    return answers


class StopAfter(Callback):
    """Stops a training after so many epochs."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def on_epoch_end(self, trainer: Trainer, row: EpochRow) -> None:
        """Stop where it is time."""
        if len(trainer.run.rows) >= self.epochs:
            raise StopTraining


class Named(nn.Module):
    """A convolution called with names in place of positions."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 3, 3, 3))
        self.options = options

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, 3, height, width) to (batch, 4, rows, columns)."""
        return F.conv2d(weight=self.weight, input=x, **self.options)


class Viewed(nn.Module):
    """Its maps are viewed as rows, after a pool to so many pixels a side."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 10, 3)
        self.pool = nn.AdaptiveAvgPool2d(side)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, 3, height, width) to (batch, features)."""
        maps = self.pool(self.conv(x))
        return maps.view(-1, maps[0].numel())


SMALL = (32, 3, 10, 10)


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (exp5.build_model(), (128, 1, 28, 28)),
        (nn.Conv2d(3, 24, 5, padding=2), SMALL),
        (nn.Conv2d(3, 9, 3, groups=3), SMALL),
        (Named(padding=1), SMALL),
        (Viewed(1), SMALL),
    ],
)
def test_these_networks_get_our_kernels(model: nn.Module, shape: tuple[int, ...]) -> None:
    assert ours(model, *shape) == [True]


@pytest.mark.parametrize(
    ("model", "shape", "dtype"),
    [
        (nn.Conv2d(3, 9, 3, stride=2), SMALL, torch.float32),
        (nn.Conv2d(3, 9, 3, stride=(1, 2)), SMALL, torch.float32),
        (nn.Conv2d(3, 9, 3, dilation=2), SMALL, torch.float32),
        (nn.Conv2d(3, 9, 3, padding="same"), SMALL, torch.float32),
        (nn.Conv2d(3, 9, 3, padding=(0, 1)), SMALL, torch.float32),
        (nn.Conv2d(3, 9, 3, padding=3), SMALL, torch.float32),
        (nn.Conv2d(3, 9, (3, 1)), SMALL, torch.float32),
        (nn.Conv2d(3, 9, 2), SMALL, torch.float32),
        (nn.Conv2d(3, 25, 3), SMALL, torch.float32),
        (nn.Conv2d(25, 3, 3), (32, 25, 10, 10), torch.float32),
        (nn.Sequential(nn.Conv2d(3, 48, 1), nn.Conv2d(48, 48, 3, groups=48)), SMALL, torch.float32),
        (nn.Conv2d(3, 9, 3), (30, 3, 10, 10), torch.float32),
        (nn.Conv2d(3, 9, 3), (3, 10, 10), torch.float32),
        (nn.Conv2d(3, 9, 3), SMALL, torch.float64),
        (nn.Sequential(nn.Conv2d(3, 9, 3), nn.Conv2d(9, 9, 3, stride=2)), SMALL, torch.float32),
        (nn.Linear(10, 3), SMALL, torch.float32),
        (Named(stride=2), SMALL, torch.float32),
        (Viewed(2), SMALL, torch.float32),
    ],
)
def test_these_networks_are_left_to_pytorch(
    model: nn.Module, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    assert ours(model, *shape, dtype=dtype) == [False]


def test_autocast_is_left_to_pytorch() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert ours(nn.Conv2d(3, 9, 3), *SMALL) == [False]


def test_a_compiled_network_computes_what_it_computes_without() -> None:
    torch._dynamo.reset()
    torch.manual_seed(0)
    model = Net((9, 9, 9, 16, 16, 16))
    other = copy.deepcopy(model)
    compiled = compile_model(other, 32)
    x = torch.randn(32, 1, 28, 28)
    compiled(x).sum().backward()  # compiles
    other.load_state_dict(model.state_dict())
    other.zero_grad()
    with torch.profiler.profile() as profile:
        ours = compiled(x)
        weights = torch.randn_like(ours)
        (ours * weights).sum().backward()
    counts = {event.key: event.count for event in profile.key_averages()}
    assert counts["BatchLastConvolution"] == counts["BatchLastConvolutionBackward"] == 7
    assert counts["FoldedNorm"] == counts["FoldedNormBackward"] == 6
    assert counts["MaxPool"] == counts["MaxPoolBackward"] == 1
    assert not any(name.startswith(("aten::conv", "aten::batch_norm")) for name in counts)
    theirs = model(x)
    (theirs * weights).sum().backward()
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(other.state_dict(), model.state_dict(), rtol=1e-3, atol=1e-4)
    for mine, right in zip(other.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, right.grad, rtol=1e-2, atol=1e-2 * right.grad.std())
    shorter = torch.randn(7, 1, 28, 28)
    torch.testing.assert_close(compiled(shorter), other(shorter))


@pytest.fixture
def fresh() -> Iterator[None]:
    """Nothing is known of this machine, and the kernels are not loaded."""
    known = (cpu_dispatch._usable, cpu_dispatch.why_not_here, cpu_kernels.library)
    for one in known:
        one.cache_clear()
    yield
    for one in known[:2]:
        one.cache_clear()


def test_without_the_kernels_pytorch_does_the_work_and_it_is_said_once(
    fresh: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / name)
    broken = tmp_path / "compiler"
    broken.write_text("#!/bin/sh\necho no OpenMP here >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CXX", str(broken))
    with pytest.warns(RuntimeWarning, match=r"no OpenMP here Install g\+\+"):
        assert ours(nn.Conv2d(3, 9, 3), *SMALL) == [False]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ours(nn.Conv2d(3, 9, 3), *SMALL) == [False]
    assert not list((tmp_path / "eva-course" / "kernels").iterdir())  # nothing half done is left


def test_elsewhere_than_on_linux_nothing_is_compiled(
    fresh: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("compiled"))
    with pytest.warns(RuntimeWarning, match=r"made on Linux only. PyTorch's are used"):
        assert not cpu_dispatch._usable()


def test_the_library_is_compiled_once(kernels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("compiled again"))
    assert cpu_kernels.build(kernels.parent) == kernels
    monkeypatch.setenv("CXX", "another")
    with pytest.raises(pytest.fail.Exception, match="compiled again"):
        cpu_kernels.build(kernels.parent)


@pytest.mark.parametrize("other", ["clang++", "aarch64-linux-gnu-g++"])
def test_other_compilers_make_the_kernels(
    other: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Another one for this processor, and one for ARM, whose library can't be loaded here."""
    if shutil.which(other) is None:
        pytest.skip(f"there is no {other}")
    monkeypatch.setenv("CXX", other)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    path = cpu_kernels.build(tmp_path)
    if other == "clang++":
        library = ctypes.CDLL(str(path))
        monkeypatch.setattr(cpu_kernels, "library", lambda: library)
        x, weight = torch.randn(32, 3, 7, 6), torch.randn(4, 3, 3, 3)
        torch.testing.assert_close(cpu_dispatch.conv2d(x, weight), F.conv2d(x, weight), **TOLERANCE)


def test_a_compiled_training_that_was_interrupted_ends_as_one_that_was_not(tmp_path: Path) -> None:
    """To the bit: the same seed, path and threads are the same run."""
    data = load_mini()
    data = replace(data, train_images=data.train_images[::10], train_labels=data.train_labels[::10])
    recipe = Recipe(epochs=2, batch_size=64, optimizer=SGD(lr=0.02))
    ended = []
    for name, stops in (("whole", []), ("parts", [StopAfter(1)])):
        for callbacks in (stops, []):
            torch.manual_seed(0)
            trainer = Trainer(
                Net((4, 4, 4, 8, 8, 8), dropout=0.1),
                recipe,
                data,
                device="cpu",
                compiled="on",
                out=tmp_path / name,
                callbacks=callbacks,
            )
            run = trainer.fit(resume=True)
        assert run.device.compiled and run.status == "finished"
        ended.append(
            (trainer.model.state_dict(), [(row.train_loss, row.wrong) for row in run.rows])
        )
    (weights, rows), (other_weights, other_rows) = ended
    assert rows == other_rows
    assert all(torch.equal(value, other_weights[name]) for name, value in weights.items())
