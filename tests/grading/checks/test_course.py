"""The course's own networks are known by what they compute."""

import torch
from torch import nn

from eva.experiments import one_epoch_25k
from eva.grading.checks.course import course_answer
from eva.grading.graph.export import export_graph

SIZE = (1, 28, 28)


class Renamed(nn.Module):
    """The same network inside of another module, with other first weights."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(9)
        self.mine = one_epoch_25k.build_model()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.mine(x)
        return result


def test_a_copy_of_the_courses_network_is_known_under_any_name() -> None:
    found = course_answer(export_graph(Renamed(), SIZE), SIZE)
    assert found == "eva.experiments.one_epoch_25k"


def test_another_network_is_nobodys() -> None:
    net = nn.Sequential(nn.Conv2d(1, 10, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert course_answer(export_graph(net, SIZE), SIZE) is None
