"""Several trainings side by side on one GPU: their steps are branches of one captured graph.

The trainers are eva's, and so are their steps, draws and records. What differs from
:meth:`eva.training.trainer.Trainer.fit` is who calls them: one loop for all, so that a GPU that a
network of 8,000 parameters does not fill is filled by several. The averages of the weights are
updated by the same arithmetic in fewer kernels. Seconds in the records are those of all together.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Generator, Tensor, nn

import eva.training.trainer as training
from eva.data import epoch_order
from eva.errors import TrainingError
from eva.record import EpochRow, Run
from eva.seeds import derive_seed, seeded
from eva.training.average import average_weight
from eva.training.evaluation import confusion_matrix, evaluate
from eva.training.trainer import AT_ONCE, Trainer

WARM_UP = 3
Function = Callable[..., Any]


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, weight: Tensor) -> None:
    """As :func:`eva.training.average.update_average`, in a kernel for many tensors."""
    pairs = list(zip(average.state_dict().values(), model.state_dict().values(), strict=True))
    old, new = (
        list(side) for side in zip(*[p for p in pairs if p[0].is_floating_point()], strict=True)
    )
    change = torch._foreach_sub(new, old)
    torch._foreach_mul_(change, weight)
    torch._foreach_add_(old, change)
    counts = [p for p in pairs if not p[0].is_floating_point()]
    if counts:
        torch._foreach_copy_([p[0] for p in counts], [p[1] for p in counts])


class Branches:
    """A function for each trainer, captured as branches of one graph; one graph for each shape."""

    def __init__(
        self,
        functions: Sequence[Function],
        device: torch.device,
        generators: Sequence[Generator] = (),
    ) -> None:
        self.functions, self.device, self.generators = functions, device, generators
        self.calls: Counter[int] = Counter()
        self.graphs: dict[int, tuple[Any, list[list[Tensor]], list[Any]]] = {}
        cuda = device.type == "cuda"
        self.streams = [torch.cuda.Stream() for _ in functions] if cuda else []

    def __call__(self, inputs: Sequence[Sequence[Tensor]]) -> list[Any]:
        """Call each function with its inputs."""
        if self.device.type != "cuda":
            return [f(*given) for f, given in zip(self.functions, inputs, strict=True)]
        key = len(inputs[0][0])
        self.calls[key] += 1
        if self.calls[key] <= WARM_UP:
            return self._all(inputs)
        if key not in self.graphs:
            fixed = [[value.clone() for value in given] for given in inputs]
            graph = torch.cuda.CUDAGraph()
            for generator in self.generators:
                graph.register_generator_state(generator)
            with torch.cuda.graph(graph):
                results = self._all(fixed)
            self.graphs[key] = graph, fixed, results
        graph, fixed, results = self.graphs[key]
        for place in range(len(inputs[0])):
            torch._foreach_copy_([f[place] for f in fixed], [g[place] for g in inputs])
        graph.replay()
        return results

    def _all(self, inputs: Sequence[Sequence[Tensor]]) -> list[Any]:
        here = torch.cuda.current_stream()
        results = []
        for function, given, stream in zip(self.functions, inputs, self.streams, strict=True):
            stream.wait_stream(here)
            with torch.cuda.stream(stream):
                results.append(function(*given))
        for stream in self.streams:
            here.wait_stream(stream)
        return results


def settings_of(trainers: Sequence[Trainer]) -> Tensor:
    """(steps, 2 trainers): the learning rates, then how far the averages move."""
    columns: dict[str, list[float]] = {}
    names: list[str] = []
    total = trainers[0].recipe.epochs * trainers[0].steps_per_epoch
    for kind in ("lr", "average"):
        for t in trainers:
            name = f"{kind} {t.recipe.optimizer} {t.recipe.schedule} {t.recipe.ema}"
            names.append(name)
            if name in columns:
                continue
            if kind == "lr":
                columns[name] = [t.recipe.lr(k, t.steps_per_epoch) for k in range(total)]
            else:
                ema = t.recipe.ema
                columns[name] = [
                    0.0 if ema is None else average_weight(ema, k) for k in range(total)
                ]
    return torch.tensor([columns[name] for name in names]).T.contiguous().to(trainers[0].device)


def fit_together(
    trainers: Sequence[Trainer],
    *,
    evaluate_from: int = 0,
    deadline: float | None = None,
    only_steps: int | None = None,
) -> list[Run]:
    """Train all; their recipes have the same epochs and batch size, their data the same size.

    Args:
        trainers: Fresh.
        evaluate_from: First epoch that is tested; earlier ones get no row.
        deadline: :func:`time.time` after which it gives up.
        only_steps: Stop after so many steps, for timing; returns no useful record.
    """
    first = trainers[0]
    device, size, epochs = first.device, first.recipe.batch_size, first.recipe.epochs
    assert {(t.recipe.batch_size, t.recipe.epochs, t.run.data.train_size) for t in trainers} == {
        (size, epochs, first.run.data.train_size)
    }
    training.update_average = update_average
    cuda = device.type == "cuda"
    table = settings_of(trainers)
    settings = table[0].clone()
    for i, t in enumerate(trainers):
        t.optimizer.param_groups[0]["lr"] = settings[i]
        t._average_weight = settings[len(trainers) + i]
    prepare = Branches([t._batch for t in trainers], device, [t._generator for t in trainers])
    learn = Branches([t._step for t in trainers], device)
    alive = dict.fromkeys(range(len(trainers)), True)
    step = 0
    started_at = time.perf_counter()
    for epoch in range(epochs):
        started = time.perf_counter()
        for t in trainers:
            t._generator.manual_seed(derive_seed("augment", t.seed, epoch))
            t.totals.reset()
            t.model.train()
        orders = [
            torch.split(
                epoch_order(t.run.data.train_size, t.seed, epoch).to(device),
                size * AT_ONCE[device.type],
            )
            for t in trainers
        ]
        with seeded(device, derive_seed("dropout", first.seed, epoch)):
            for chunk in zip(*orders, strict=True):
                prepared = prepare([(index,) for index in chunk])
                cut = [[torch.split(v, size) for v in pair] for pair in prepared]
                for k in range(len(cut[0][0])):
                    settings.copy_(table[step])
                    learn([(images[k], labels[k]) for images, labels in cut])
                    for t, (_, labels) in zip(trainers, cut, strict=True):
                        t.totals.images += len(labels[k])
                    step += 1
                    if only_steps is not None and step == only_steps:
                        torch.cuda.synchronize() if cuda else None
                        return []
        if cuda:
            torch.cuda.synchronize()
        if deadline is not None and time.time() > deadline:
            raise TimeoutError(f"after epoch {epoch}")
        trained = time.perf_counter()
        for i, t in enumerate(trainers):
            if not alive[i]:
                continue
            try:
                t._require_finite(step - 1)
            except TrainingError:
                alive[i] = False
                continue
            if epoch < evaluate_from:
                continue
            before = time.perf_counter()
            with t._kernels if cuda else nullcontext():
                result = evaluate(t.evaluated, t.data.test_images, t.data.test_labels)
            labels = t.data.test_labels.cpu()
            steps, images = t.steps_per_epoch, t.run.data.train_size
            row = EpochRow(
                epoch=epoch,
                lr=t.recipe.lr((epoch + 1) * steps - 1, steps),
                train_loss=t.totals.mean_loss(),
                train_accuracy=t.totals.accuracy(),
                test_loss=result.loss,
                test_accuracy=result.accuracy,
                wrong=tuple((result.predicted != labels).nonzero().flatten().tolist()),
                images_per_second=images / (trained - started),
                seconds_train=trained - started,
                seconds_data=0.0,
                seconds_compute=trained - started,
                seconds_test=time.perf_counter() - before,
            )
            t.run = t.run.model_copy(
                update={
                    "rows": (*t.run.rows, row),
                    "confusion": confusion_matrix(labels, result.predicted),
                }
            )
    seconds = time.perf_counter() - started_at
    for i, t in enumerate(trainers):
        if t.average is not None:
            t.model.load_state_dict(t.average.state_dict())
        t.run = t.run.model_copy(update={"seconds": seconds})
        t._finish("finished" if alive[i] else "diverged")
    return [t.run for t in trainers]
