"""Experiment 2: just under 10,000 parameters.

Target: fewer than 10,000 parameters in 15 epochs, with a fully connected layer still at the end,
as a baseline for what comes later.

Change: half the channels, no dropout, no augmentation; the last 5x5 maps are flattened and a
fully connected layer answers.

Result: on the last epoch 99.78 % of training and 99.18 % of testing, means of 3 seeds; 0 of 3 held
99.40 % over the last four epochs.

Analysis: it overfits. Training accuracy is so close to 100 % that there is nothing left to learn
from the training images, and the test images gain nothing from another epoch. A quarter of the
parameters sit in the last layer and depend on the size of its input.

Known: about 9,300 parameters, best training accuracy 99.64 %, best test accuracy 99.21 %, one run.
Reconstructed: the channels (9,266 parameters) and the learning rate.
"""

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
