import torch
from torch import nn

from eva.grading.graph.export import export_graph
from eva.grading.graph.fingerprint import structure


class One(nn.Module):
    def __init__(self, channels: int = 4) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, channels, 3)
        self.norm = nn.BatchNorm2d(channels)
        self.head = nn.Conv2d(channels, 10, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left = torch.relu(self.norm(self.first(x)))
        return self.head(left).mean((2, 3))


class Renamed(nn.Module):
    """The same network: other names, other order of construction, a statement that does nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.zz_out = nn.Conv2d(4, 10, kernel_size=(1, 1))
        self.zz_in = nn.Conv2d(1, 4, kernel_size=3)
        self.bn = nn.BatchNorm2d(4)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        image.sum()
        y = self.zz_in(image)
        y = self.bn(y)
        y = y.relu()
        y = self.zz_out(y)
        return y.mean(dim=(2, 3))


def _structure(model: nn.Module) -> str:
    return structure(export_graph(model, (1, 28, 28)))


def test_other_names_and_weights_have_the_same_structure() -> None:
    torch.manual_seed(0)
    one = _structure(One())
    assert one == _structure(One())
    assert one == _structure(Renamed())


def test_another_width_or_operation_has_another_structure() -> None:
    one = _structure(One())
    assert one != _structure(One(5))
    wide = One()
    wide.norm = nn.Identity()  # type: ignore[assignment]
    assert one != _structure(wide)
    other = One()
    other.first = nn.Conv2d(1, 4, 3, stride=2)
    assert one != _structure(other)
