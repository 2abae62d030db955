"""The loop's two functions are fit to be captured, and give what the plain loop gives."""

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from eva.blocks import conv_block, gap_head
from eva.data import Dataset, epoch_order, normalize, to_float
from eva.data.augment import augment
from eva.kernels.cuda_graphs import Replayed
from eva.recipe import (
    SGD,
    Adam,
    AdamW,
    Brightness,
    Contrast,
    RandomCrop,
    RandomErasing,
    Recipe,
    Rotation,
    Scale,
    Shear,
    Shift,
)
from eva.seeds import derive_seed, seeded
from eva.training.trainer import Trainer

EVERYTHING = (
    Rotation(degrees=10),
    Shear(degrees=5),
    Scale(fraction=0.1),
    Shift(pixels=2),
    RandomCrop(padding=2),
    Brightness(fraction=0.2),
    Contrast(fraction=0.2),
    RandomErasing(),
)
RECIPE = Recipe(
    epochs=2,
    batch_size=64,
    optimizer=SGD(lr=0.05, nesterov=True),
    weight_decay=1e-4,
    label_smoothing=0.1,
    augment=EVERYTHING,
    ema=0.9,
)
# What makes the host wait for a value, or sends it one: a capture allows neither.
TO_THE_HOST = {"_local_scalar_dense", "nonzero", "lift_fresh", "item"}


def make_model() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.MaxPool2d(2), conv_block(1, 4, 6, dropout=0.1), gap_head(6))


class Operations(TorchDispatchMode):
    """Names of the operations that run inside."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        self.names.add(function.overloadpacket.__name__)
        return function(*args, **(kwargs or {}))


def plain_losses(recipe: Recipe, data: Dataset, seed: int) -> tuple[list[float], nn.Module]:
    """The loop as a lesson would write it; these few images are augmented all at once."""
    model = make_model().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = copy.deepcopy(model)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=1.0, momentum=0.9, nesterov=True, weight_decay=recipe.weight_decay
    )
    losses, step = [], 0
    steps = -(-len(data.train_labels) // recipe.batch_size)
    for epoch in range(recipe.epochs):
        total = 0.0
        model.train()
        generator = Generator().manual_seed(derive_seed("augment", seed, epoch))
        order = epoch_order(len(data.train_labels), seed, epoch)
        with seeded(torch.device("cpu"), derive_seed("dropout", seed, epoch)):
            images, labels = data.train_images[order], data.train_labels[order]
            whole = normalize(augment(to_float(images), recipe.augment, generator))
            for inputs, answers in zip(
                whole.split(recipe.batch_size), labels.split(recipe.batch_size), strict=True
            ):
                optimizer.param_groups[0]["lr"] = recipe.lr(step, steps)
                loss = F.cross_entropy(model(inputs), answers, label_smoothing=0.1)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                weight = 1 - min(0.9, (1 + step) / (10 + step))
                pairs = zip(average.state_dict().values(), model.state_dict().values(), strict=True)
                for old, new in pairs:
                    old.copy_(old + weight * (new - old) if old.is_floating_point() else new)
                total += loss.item() * len(answers)
                step += 1
        losses.append(total / len(data.train_labels))
    return losses, average


def test_the_loop_of_captured_steps_does_what_a_plain_one_does(tiny: Dataset) -> None:
    losses, average = plain_losses(RECIPE, tiny, seed=3)
    model = make_model()
    run = Trainer(model, RECIPE, tiny, device="cpu", seed=3).fit()
    assert [row.train_loss for row in run.rows] == pytest.approx(losses, rel=1e-4)
    for ours, theirs in zip(
        model.state_dict().values(), average.state_dict().values(), strict=True
    ):
        assert torch.allclose(ours, theirs, atol=1e-3)


@pytest.mark.parametrize("optimizer", [SGD(lr=0.01), Adam(lr=0.01), AdamW(lr=0.01)])
def test_a_step_neither_asks_for_a_value_nor_sends_one(
    tiny: Dataset, optimizer: SGD | Adam | AdamW
) -> None:
    recipe = RECIPE.model_copy(update={"optimizer": optimizer, "epochs": 1})
    trainer = Trainer(make_model(), recipe, tiny, device="cpu")
    trainer.fit()
    with Operations() as inside:
        images, labels = trainer._prepare(torch.arange(64))
        trainer._learn(images, labels)
    assert {"grid_sampler_2d", "convolution_backward", "masked_fill"} <= inside.names
    assert not inside.names & TO_THE_HOST
    with Operations() as caught:
        torch.tensor([1.0]).item()
    assert caught.names & TO_THE_HOST, "the test sees what it forbids"


def test_outside_cuda_a_function_is_just_called() -> None:
    calls: list[Tensor] = []
    replayed = Replayed(calls.append, torch.device("cpu"))
    inputs = [torch.rand(2) for _ in range(6)]
    for one in inputs:
        replayed(one)
    assert all(a is b for a, b in zip(calls, inputs, strict=True))


needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")


@needs_cuda
@pytest.mark.parametrize("optimizer", [SGD(lr=0.01, nesterov=True), Adam(lr=0.01)])
def test_on_cuda_replays_give_what_calls_give(
    tiny: Dataset, optimizer: SGD | Adam, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = RECIPE.model_copy(update={"optimizer": optimizer, "batch_size": 16})
    replayed = Trainer(make_model(), recipe, tiny, device="cuda").fit()
    monkeypatch.setattr("eva.kernels.cuda_graphs.WARM_UP", 10**9)
    called = Trainer(make_model(), recipe, tiny, device="cuda").fit()
    for ours, theirs in zip(replayed.rows, called.rows, strict=True):
        assert ours.train_loss == pytest.approx(theirs.train_loss, rel=1e-3)


@needs_cuda
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
def test_on_cuda_no_step_waits_for_the_device(tiny: Dataset) -> None:
    trainer = Trainer(make_model(), RECIPE, tiny, device="cuda")
    trainer.fit()
    index = torch.arange(64, device="cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(6):
            trainer._learn(*trainer._prepare(index))
    finally:
        torch.cuda.set_sync_debug_mode("default")
