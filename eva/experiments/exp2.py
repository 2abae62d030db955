"""Experiment 2."""

from torch import Tensor, nn

from eva.blocks import conv_block, transition
from eva.recipe import SGD, Recipe


class Net(nn.Module):
    """Six 3x3 convolutions with biases, then a fully connected layer over the last 5x5 maps."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_block_1 = conv_block(1, 8, 8, bias=True)
        self.conv_block_2 = conv_block(8, 10, bias=True)
        self.transition_1 = transition()
        self.conv_block_3 = conv_block(10, 16, 16, 10, bias=True)
        self.fc = nn.Linear(10 * 5 * 5, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, 1, 28, 28) to (batch, 10) scores."""
        x = self.conv_block_1(x)
        x = self.conv_block_2(x)
        x = self.transition_1(x)
        x = self.conv_block_3(x)
        return self.fc(x.flatten(1))  # type: ignore[no-any-return]


def build_model() -> Net:
    """8-8-10, pool, 16-16-10, fully connected: 9,266 parameters."""
    return Net()


RECIPE = Recipe(optimizer=SGD(lr=0.01, momentum=0.9))
