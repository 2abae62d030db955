"""What the proof of pooling tells a student: the layer, the sizes, the operation."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eva.grading.checks.pooling_proof import Proof, prove_pooling
from eva.grading.graph.export import export_graph

SIZE = (1, 28, 28)


class Function(nn.Module):
    """A function as a layer."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, x: Tensor) -> Tensor:
        match self.name:
            case "resized to 1x1":
                return F.interpolate(x, size=1, mode="area")
            case "sampled":
                theta = torch.tensor([[0.5, 0, 0], [0, 0.5, 0]]).expand(x.shape[0], 2, 3)
                return F.grid_sample(x, F.affine_grid(theta, x.shape, False), align_corners=False)
        raise ValueError(self.name)


class Place(nn.Module):
    """Numbers of its own for each position."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.zeros(1, 1, 8, 8))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.place


def proof_of(*layers: nn.Module) -> Proof:
    """Of layers that read a map of 8x8 with 4 channels, and give scores."""
    torch.manual_seed(0)
    first = nn.Sequential(nn.Conv2d(1, 4, 7, stride=3), nn.ReLU())
    model = nn.Sequential(first, *layers)
    return prove_pooling(export_graph(model, SIZE), SIZE, training=False)


@pytest.mark.parametrize(
    "after",
    [
        (nn.Conv2d(4, 10, 1), nn.Flatten()),
        (nn.Flatten(), nn.Linear(4, 10)),
        (nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10)),
    ],
)
def test_a_pool_smaller_than_its_map_is_told_whatever_follows_it(
    after: tuple[nn.Module, ...],
) -> None:
    found = proof_of(nn.AvgPool2d(7), *after)
    assert found.holds is False
    assert found.reason.startswith("AvgPool2d averages 7x7 of an 8x8 map")


END = (nn.Conv2d(4, 10, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def test_a_layer_norm_with_weights_of_positions_is_named_and_one_without_passes() -> None:
    found = proof_of(nn.LayerNorm(8), *END)
    assert found.holds is None
    assert "the LayerNorm 1 has numbers of its own for each position" in found.reason
    assert proof_of(nn.LayerNorm(8, elementwise_affine=False), *END).holds is True


def test_a_code_of_positions_is_told_by_the_name_of_its_layer() -> None:
    found = proof_of(Place(), *END)
    assert found.holds is False and "layer 1 has numbers of its own" in found.reason


def test_an_operation_that_the_proof_does_not_know_is_named_and_needs_a_person() -> None:
    found = proof_of(Function("sampled"), *END)
    assert found.holds is None
    assert "grid_sampler is not an operation that the proof knows" in found.reason


def test_a_pooled_map_under_3x3_needs_a_person() -> None:
    found = proof_of(nn.MaxPool2d(4), *END)
    assert found.holds is None and "2x2, and smaller than 3x3" in found.reason


def test_resizing_to_1x1_is_a_mean() -> None:
    found = proof_of(nn.Conv2d(4, 10, 1), Function("resized to 1x1"), nn.Flatten())
    assert (found.holds, found.maps) == (True, ("8x8",))
