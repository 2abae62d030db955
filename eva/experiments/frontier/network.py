"""Pieces of the frontier's networks: depth without its weights, all without padding."""

from __future__ import annotations

from torch import Tensor, nn


class Repeated(nn.Module):
    """The same convolutions applied several times, each time with a BatchNorm of its own.

    A kernel is counted once however often it is used. The statistics after it differ from use to
    use, so every use has its BatchNorm, which costs two numbers a channel.

    Args:
        body: Maps (batch, channels, H, W) to (batch, channels, H - 2, W - 2).
        channels: In and out.
        times: How often.
        act: Follows the body at every use.
    """

    def __init__(
        self, body: nn.Module, channels: int, times: int = 2, act: type[nn.Module] = nn.SiLU
    ) -> None:
        super().__init__()
        self.body = body
        self.act = act()
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(times))

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, H, W) to (batch, channels, H - 2 times, W - 2 times)."""
        for norm in self.norms:
            x = norm(self.act(self.body(x)))
        return x


def conv(in_channels: int, out_channels: int) -> nn.Conv2d:
    """3x3 convolution without bias."""
    return nn.Conv2d(in_channels, out_channels, kernel_size=3, bias=False)


def separable(in_channels: int, out_channels: int) -> nn.Sequential:
    """3x3 kernel for each channel, then a 1x1 convolution across channels."""
    return nn.Sequential(
        nn.Conv2d(in_channels, in_channels, kernel_size=3, groups=in_channels, bias=False),
        nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False),
    )


def once(body: nn.Module, channels: int, act: type[nn.Module] = nn.SiLU) -> Repeated:
    """Convolutions, activation and BatchNorm, used once."""
    return Repeated(body, channels, times=1, act=act)
