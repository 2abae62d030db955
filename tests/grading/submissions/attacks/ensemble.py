"""Averages several networks when it is tested."""

from torch import Tensor, nn

from eva import Recipe

RECIPE = Recipe()


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.nets = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(1, 16, 5),
                nn.ReLU(),
                nn.Conv2d(16, 16, 3),
                nn.ReLU(),
                nn.Conv2d(16, 10, 3),
            )
            for _ in range(5)
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            return self.nets[0](x).mean((2, 3))
        return sum(net(x).softmax(1).mean((2, 3)) for net in self.nets)


def build_model() -> nn.Module:
    return Net()
