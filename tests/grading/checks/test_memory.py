"""A batch that would need more memory than a worker has is told before a byte is allocated."""

import pytest
from torch import nn

from eva.errors import GradingError
from eva.grading.checks.allowlist import admit
from eva.grading.graph.export import export_graph
from eva.grading.graph.trial import Images
from eva.jobs import WORKER_MEMORY
from eva.recipe import Recipe


def wide(channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Conv2d(channels, 10, 3),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


@pytest.mark.parametrize(("channels", "batch"), [(64, 8192), (512, 1024)])
def test_a_batch_too_large_for_a_worker_is_refused(channels: int, batch: int) -> None:
    graph = export_graph(wide(channels), (1, 28, 28))
    with pytest.raises(GradingError, match=f"more than the {WORKER_MEMORY:,} bytes of a worker"):
        admit(graph, Recipe(batch_size=batch), Images())


@pytest.mark.parametrize(("channels", "batch"), [(64, 1024), (512, 64), (16, 8192)])
def test_a_batch_that_fits_is_admitted(channels: int, batch: int) -> None:
    admit(export_graph(wide(channels), (1, 28, 28)), Recipe(batch_size=batch), Images())
