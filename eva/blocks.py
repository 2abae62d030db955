"""The building blocks of the course: plain modules with readable reprs.

Convolutions come first, then ReLU, then BatchNorm, without bias: BatchNorm has one of its own.
"""

from __future__ import annotations

from torch import Tensor, nn


def conv_block(
    in_channels: int,
    *channels: int,
    kernel_size: int = 3,
    padding: int = 0,
    bias: bool = False,
    dropout: float = 0.0,
) -> nn.Sequential:
    """Convolution -> ReLU -> BatchNorm (-> Dropout), once for each entry of ``channels``.

    Args:
        in_channels: Channels of the input, (batch, in_channels, height, width).
        channels: Output channels of each convolution in turn.
        kernel_size: Side of the kernels, in pixels.
        padding: Zeros added on each side; 0 makes the map smaller by ``kernel_size - 1``.
        bias: Whether the convolutions have a bias.
        dropout: Probability that a value is dropped; 0 adds no layer.

    Example:
        >>> conv_block(1, 8)
        Sequential(
          (0): Conv2d(1, 8, kernel_size=(3, 3), stride=(1, 1), bias=False)
          (1): ReLU()
          (2): BatchNorm2d(8, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)
        )
    """
    layers: list[nn.Module] = []
    for out_channels in channels:
        layers += [
            nn.Conv2d(in_channels, out_channels, kernel_size, padding=padding, bias=bias),
            nn.ReLU(),
            nn.BatchNorm2d(out_channels),
        ]
        if dropout:
            layers.append(nn.Dropout(dropout))
        in_channels = out_channels
    return nn.Sequential(*layers)


def transition(
    in_channels: int | None = None, out_channels: int | None = None, *, bias: bool = False
) -> nn.Sequential:
    """Max-pool over 2x2, halving the map; with channels given, a 1x1 convolution after it."""
    pool = nn.MaxPool2d(kernel_size=2, stride=2)
    if in_channels is None or out_channels is None:
        return nn.Sequential(pool)
    return nn.Sequential(pool, nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=bias))


def gap_head(in_channels: int, classes: int = 10, *, bias: bool = False) -> nn.Sequential:
    """1x1 convolution to ``classes``, mean over the map: (batch, C, H, W) -> (batch, classes).

    References:
        Lin, Chen, Yan: Network In Network, 2014 (global average pooling).
    """
    return nn.Sequential(
        nn.Conv2d(in_channels, classes, kernel_size=1, bias=bias),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


def depthwise_separable(
    in_channels: int, out_channels: int, *, kernel_size: int = 3, stride: int = 1, padding: int = 0
) -> nn.Sequential:
    """One kernel a channel, then a 1x1 convolution across channels, ReLU and BatchNorm.

    ``kernel_size**2 * in_channels + in_channels * out_channels`` weights in place of
    ``kernel_size**2 * in_channels * out_channels``.

    References:
        Howard et al.: MobileNets, 2017.
    """
    return nn.Sequential(
        nn.Conv2d(
            in_channels,
            in_channels,
            kernel_size,
            stride=stride,
            padding=padding,
            groups=in_channels,
            bias=False,
        ),
        nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False),
        nn.ReLU(),
        nn.BatchNorm2d(out_channels),
    )


class Residual(nn.Module):
    """``x + body(x)``; where a body changes the channels, a 1x1 convolution maps ``x``.

    References:
        He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition, 2016.
    """

    def __init__(self, body: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.body = body
        self.shortcut = nn.Identity() if shortcut is None else shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, C, H, W) to (batch, C', H', W') as the body does."""
        shortcut = self.shortcut(x)
        change = self.body(x)
        if shortcut.shape != change.shape:
            raise ValueError(
                f"residual: the body turns {tuple(x.shape)} into {tuple(change.shape)}, but the "
                f"shortcut gives {tuple(shortcut.shape)}. Pad the body's convolutions so that the "
                "map keeps its size, and give in_channels and out_channels to residual()."
            )
        result: Tensor = shortcut + change
        return result


def residual(
    body: nn.Module, in_channels: int | None = None, out_channels: int | None = None
) -> Residual:
    """Wrap a body in a residual connection.

    Args:
        body: Keeps height and width.
        in_channels: Channels of the input; needed only where the body changes them.
        out_channels: Channels of the body's output.
    """
    if in_channels is None or out_channels is None or in_channels == out_channels:
        return Residual(body)
    return Residual(body, nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False))
