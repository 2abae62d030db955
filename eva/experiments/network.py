"""The network that the experiments vary: six 3x3 convolutions, one pool, one pooled answer."""

from __future__ import annotations

from torch import Tensor, nn

from eva.blocks import conv_block, transition


class Net(nn.Module):
    """Three 3x3 convolutions, a max-pool, three more, 1x1 to ten classes, mean over 5x5.

    Args:
        channels: Output channels of the six 3x3 convolutions in turn.
        bias: Whether convolutions have a bias.
        dropout: Probability that a value is dropped, after every BatchNorm.
    """

    def __init__(
        self,
        channels: tuple[int, int, int, int, int, int],
        *,
        bias: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        a, b, c, d, e, f = channels
        self.conv_block_1 = conv_block(1, a, b, bias=bias, dropout=dropout)
        self.conv_block_2 = conv_block(b, c, bias=bias, dropout=dropout)
        self.transition_1 = transition()
        self.conv_block_3 = conv_block(c, d, e, f, bias=bias, dropout=dropout)
        self.conv_block_3.append(nn.Conv2d(f, 10, kernel_size=1, bias=bias))
        self.gap = nn.Sequential(nn.AvgPool2d(kernel_size=5))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, 1, 28, 28) to (batch, 10) scores."""
        x = self.conv_block_1(x)
        x = self.conv_block_2(x)
        x = self.transition_1(x)
        x = self.conv_block_3(x)
        x = self.gap(x)
        return x.flatten(1)
