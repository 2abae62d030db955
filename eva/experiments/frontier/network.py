"""Networks of the frontier: depth without its weights, and a smoother non-linearity."""

from __future__ import annotations

from torch import Tensor, nn

from eva.blocks import gap_head


class Repeated(nn.Module):
    """One 3x3 convolution applied several times, each time with a BatchNorm of its own.

    A kernel is counted once however often it is used. The statistics after it differ from use to
    use, so every use has its BatchNorm, which costs two numbers a channel.

    Args:
        channels: In and out.
        times: How often; each use makes the map two pixels smaller.
    """

    def __init__(self, channels: int, times: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, kernel_size=3, bias=False)
        self.act = nn.SiLU()
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(times))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, H, W) to (batch, channels, H - 2 times, W - 2 times)."""
        for norm in self.norms:
            x = norm(self.act(self.conv(x)))
        return x


def dense(in_channels: int, out_channels: int) -> nn.Sequential:
    """3x3 convolution -> SiLU -> BatchNorm, without padding."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size=3, bias=False),
        nn.SiLU(),
        nn.BatchNorm2d(out_channels),
    )


def separable(in_channels: int, out_channels: int) -> nn.Sequential:
    """3x3 kernel for each channel, 1x1 convolution across channels -> SiLU -> BatchNorm."""
    return nn.Sequential(
        nn.Conv2d(in_channels, in_channels, kernel_size=3, groups=in_channels, bias=False),
        nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False),
        nn.SiLU(),
        nn.BatchNorm2d(out_channels),
    )


def repeated_net(early: int, late: int, times: int = 2) -> nn.Sequential:
    """3x3, a repeated 3x3, max-pool, the same again, 1x1 to the classes, mean over 5x5.

    Args:
        early: Channels before the pool.
        late: Channels after it.
        times: Uses of each repeated convolution.
    """
    return nn.Sequential(
        dense(1, early),
        Repeated(early, times),
        nn.MaxPool2d(kernel_size=2),
        dense(early, late),
        Repeated(late, times),
        gap_head(late),
    )


def separable_net(early: tuple[int, ...], late: tuple[int, ...]) -> nn.Sequential:
    """3x3 convolutions, max-pool, depthwise-separable ones, mean over what is left.

    Args:
        early: Channels of the convolutions before the pool.
        late: Channels of the separable ones after it.
    """
    layers: list[nn.Module] = []
    channels = 1
    for width in early:
        layers.append(dense(channels, width))
        channels = width
    layers.append(nn.MaxPool2d(kernel_size=2))
    for width in late:
        layers.append(separable(channels, width))
        channels = width
    return nn.Sequential(*layers, gap_head(channels))
