"""Our kernels give what PyTorch's convolution gives, and leave to it what they are not for."""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eva.blocks import conv_block, gap_head
from eva.data import Dataset
from eva.kernels import gpu_dispatch
from eva.kernels.gpu_dispatch import SmallConvolutions, fits_gpu_kernel, small_convolutions
from eva.recipe import SGD, Recipe
from eva.training.trainer import Trainer

CPU = torch.device("cpu")

# (batch, inputs, outputs, height, width, side, padding)
CASES = [
    (3, 1, 9, 8, 10, 3, 0),
    (2, 9, 16, 7, 5, 3, 1),
    (3, 16, 10, 5, 5, 1, 0),
    (2, 20, 7, 9, 6, 5, 2),
    (2, 5, 3, 4, 4, 3, 2),
    (6, 2, 3, 40, 40, 3, 0),  # so many positions that a chunk of them takes several blocks
]
# Runs in a process of its own: whether Triton interprets its kernels is settled at its import.
# Half precision is float16 here, since the interpreter has no bfloat16.
INTERPRETED = """
    import json, sys
    import torch
    import torch.nn.functional as F
    from torch import nn
    from eva.kernels import gpu_kernels
    from eva.kernels.gpu_dispatch import SmallConvolutions

    torch.manual_seed(0)
    errors = []
    for batch, inputs, outputs, height, width, side, padding in json.loads(sys.argv[1]):
        x = torch.randn(batch, inputs, height, width, requires_grad=True)
        weight = torch.randn(outputs, inputs, side, side, requires_grad=True)
        theirs = F.conv2d(x, weight, padding=padding)
        dy = torch.randn_like(theirs)
        ours = gpu_kernels.Convolution.apply(x, weight, padding)
        pairs = [(theirs, ours)]
        pairs += zip(*(torch.autograd.grad(y, (x, weight), dy) for y in (theirs, ours)))
        errors.append([((a - b).norm() / a.norm()).item() for a, b in pairs])

    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Conv2d(3, 4, 3, padding=1, stride=2))
    image = torch.randn(2, 1, 9, 9)
    calls = []
    convolve = gpu_kernels.convolve
    gpu_kernels.convolve = lambda *args, **more: calls.append(1) or convolve(*args, **more)
    expected = model(image)
    with SmallConvolutions(torch.device("cpu")):
        got = model(image)
    called = len(calls)
    deeper = nn.Sequential(model[0], nn.Conv2d(3, 2, 3))
    with SmallConvolutions(torch.device("cpu")), torch.autocast("cpu", torch.float16):
        half = deeper(image)
    print(json.dumps({
        "errors": errors,
        "model": (expected - got).abs().max().item(),
        "calls": called,
        "half": str(half.dtype),
        "half error": (half.float() - deeper(image)).abs().max().item(),
        "half calls": len(calls) - called,
    }))
"""


@pytest.fixture(scope="module")
def interpreted() -> dict[str, Any]:
    pytest.importorskip("triton")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(INTERPRETED), json.dumps(CASES)],
        capture_output=True,
        text=True,
        env=os.environ | {"TRITON_INTERPRET": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("case", range(len(CASES)), ids=str)
def test_outputs_and_gradients_are_those_of_pytorch(interpreted: dict[str, Any], case: int) -> None:
    assert max(interpreted["errors"][case]) < 1e-5


def test_a_model_gives_the_same_with_its_small_convolutions_replaced(
    interpreted: dict[str, Any],
) -> None:
    assert interpreted["model"] < 1e-5
    assert interpreted["calls"] == 1, "the strided one is PyTorch's"


def test_autocast_reaches_the_kernels(interpreted: dict[str, Any]) -> None:
    assert interpreted["half"] == "torch.float16"
    assert 0 < interpreted["half error"] < 0.01
    assert interpreted["half calls"] == 2, "the second reads what the first gave, in half precision"


def test_what_does_not_fit_is_left_alone() -> None:
    x, weight = torch.rand(2, 9, 8, 8), torch.rand(4, 9, 3, 3)
    assert fits_gpu_kernel(x, weight, 0)
    assert fits_gpu_kernel(x, weight, (1, 1))
    assert not fits_gpu_kernel(x, weight, 3), "a position would see padding alone"
    assert not fits_gpu_kernel(x, weight, (0, 1))
    assert not fits_gpu_kernel(x, weight, "same")
    assert not fits_gpu_kernel(x.double(), weight.double(), 0)
    assert not fits_gpu_kernel(x, weight.double(), 0)
    assert fits_gpu_kernel(x.half(), weight, 0, cast=True)
    assert not fits_gpu_kernel(x.half(), weight, 0)
    assert not fits_gpu_kernel(x.double(), weight.double(), 0, cast=True), (
        "autocast leaves doubles alone"
    )
    assert not fits_gpu_kernel(x[:0], weight, 0)
    assert not fits_gpu_kernel(x[0], weight, 0)
    assert not fits_gpu_kernel(x[:, :, :2], weight, 0)
    assert not fits_gpu_kernel(x, weight[:, :, :2], 0)
    assert not fits_gpu_kernel(x, weight[:, :3], 0), "PyTorch says what is wrong"
    many = torch.empty(2**31 // 9 // 64 + 1, 9, 8, 8, device="meta")
    assert fits_gpu_kernel(many[:-1], weight, 0)
    assert not fits_gpu_kernel(many, weight, 0), "more numbers than 32 bits count"
    assert not fits_gpu_kernel(many[:-1], weight, 1)
    wide = gpu_dispatch.GPU_CHANNELS + 1
    assert not fits_gpu_kernel(torch.rand(1, wide, 8, 8), torch.rand(4, wide, 3, 3), 0)
    assert not fits_gpu_kernel(x, torch.rand(wide, 9, 3, 3), 0)


def test_without_tf32_nothing_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    assert not fits_gpu_kernel(torch.rand(2, 9, 8, 8), torch.rand(4, 9, 3, 3), 0)


@pytest.mark.parametrize(
    "more", [{"groups": 9}, {"stride": 2}, {"dilation": (2, 2)}, {"padding": "same"}]
)
def test_other_convolutions_go_to_pytorch(
    monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]
) -> None:
    monkeypatch.setitem(sys.modules, "eva.kernels.gpu_kernels", None)  # importing it would fail
    x, weight = torch.rand(2, 9, 8, 8), torch.rand(9, 1 if "groups" in more else 9, 3, 3)
    with SmallConvolutions(CPU):
        ours = F.conv2d(x, weight, **more)
        with pytest.raises(ImportError):
            F.conv2d(x, torch.rand(9, 9, 3, 3))
    assert torch.equal(ours, F.conv2d(x, weight, **more))


def test_without_cuda_there_is_nothing_to_do() -> None:
    assert isinstance(small_convolutions(CPU), nullcontext)


@pytest.fixture
def forgetful() -> Iterator[None]:
    gpu_dispatch._usable.cache_clear()
    yield
    gpu_dispatch._usable.cache_clear()


def test_where_the_kernels_do_not_compile_cudnn_is_used_and_said(
    monkeypatch: pytest.MonkeyPatch, forgetful: None
) -> None:
    monkeypatch.setitem(sys.modules, "eva.kernels.gpu_kernels", None)
    with pytest.warns(RuntimeWarning, match="cuDNN is used"):
        context = small_convolutions(torch.device("cuda"))
    assert isinstance(context, nullcontext)
    assert isinstance(small_convolutions(torch.device("cuda")), nullcontext), "and said once"


def test_a_gpu_without_tf32_is_left_to_cudnn(
    monkeypatch: pytest.MonkeyPatch, forgetful: None
) -> None:
    pytest.importorskip("triton")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 5))
    assert isinstance(small_convolutions(torch.device("cuda")), nullcontext)


needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")


@needs_cuda
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_on_cuda_they_are_as_exact_as_the_matrix_units(
    case: tuple[int, ...], dtype: torch.dtype
) -> None:
    batch, inputs, outputs, height, width, side, padding = case
    x = torch.randn(batch, inputs, height, width, device="cuda", dtype=dtype)
    weight = torch.randn(outputs, inputs, side, side, device="cuda", dtype=dtype)

    def answers(x: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
        x, weight = x.detach().requires_grad_(), weight.detach().requires_grad_()
        y = F.conv2d(x, weight, padding=padding)
        return y, *torch.autograd.grad(y, (x, weight), torch.ones_like(y))

    with small_convolutions(torch.device("cuda")):
        found = answers(x, weight)
        again = answers(x, weight)
    for ours, theirs in zip(found, answers(x.double(), weight.double()), strict=True):
        error = (ours.double() - theirs).norm() / theirs.norm()
        assert error < (2e-3 if dtype is torch.float32 else 1e-2)
    assert all(map(torch.equal, found, again))


@needs_cuda
def test_on_cuda_a_run_is_the_one_that_cudnn_gives(
    tiny: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe(epochs=2, batch_size=32, optimizer=SGD(lr=0.05, nesterov=True))

    def losses() -> list[float]:
        torch.manual_seed(1)
        model = nn.Sequential(nn.MaxPool2d(2), conv_block(1, 4, 6), gap_head(6))
        run = Trainer(model, recipe, tiny, device="cuda").fit()
        return [row.train_loss for row in run.rows]

    ours, again = losses(), losses()
    assert ours == again
    monkeypatch.setattr(gpu_dispatch, "_usable", lambda: False)
    assert losses() == pytest.approx(ours, rel=1e-2)
