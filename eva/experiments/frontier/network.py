"""Pieces of the frontier's networks: what depth, slant and place cost without weights for them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# By half a pixel to the right, left, down and up: the margin to add, and what is averaged then.
MOVES = (
    ((1, 0, 0, 0), (1, 2)),
    ((0, 1, 0, 0), (1, 2)),
    ((0, 0, 1, 0), (2, 1)),
    ((0, 0, 0, 1), (2, 1)),
)


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


class Upright(nn.Module):
    """Moves a digit's center of mass to the middle of the image and takes out its slant.

    The slant is the slope of the line that best tells x from y, by least squares over the ink.
    Nothing is learned. What two images of a digit no longer differ in, no weight is spent on.

    The sums come from an integral image, whose entry at row k and column l is the ink above and to
    the left of there. Its sum counts ink at (i, j) as often as there are such entries, (H - i)
    times (W - j), so that moments need no table of positions.

    References:
        LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document recognition,
        1998 (there the images are called deslanted).
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, 1, side, side) to the same; the lowest value of an image is paper."""
        side = x.shape[-1]
        paper = x.amin(dim=(2, 3), keepdim=True)
        ink = (x - paper)[:, 0]
        integral = (ink / (ink.sum(dim=(1, 2), keepdim=True) + 1e-6)).cumsum(1).cumsum(2)
        rows, columns = integral[:, :, -1], integral[:, -1]
        u, v = rows.sum(1), columns.sum(1)  # means of side - i and of side - j, (batch,)
        spread = 2 * rows.cumsum(1).sum(1) - u - u * u  # the first sum is of u (u + 1) / 2
        slant = (integral.sum((1, 2)) - u * v) / (spread + 0.02)
        down, across = ((side + 1 - 2 * mean) / (side - 1) for mean in (u, v))
        one, zero = torch.ones_like(u), torch.zeros_like(u)
        theta = torch.stack((one, slant, across, zero, one, down), dim=1).view(-1, 2, 3)
        grid = F.affine_grid(theta, list(x.shape), align_corners=True)
        return F.grid_sample(x - paper, grid, align_corners=True) + paper


class Views(nn.Module):
    """In eval mode, the mean score of an image and of it moved by half a pixel to each side.

    A pool of stride 2 sees a digit otherwise when it stands half a pixel aside, and so five looks
    disagree where one would have been mistaken. In training mode there is one look.

    Args:
        body: Maps (batch, 1, H, W) to (batch, classes).
    """

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, 1, H, W) to (batch, classes)."""
        if self.training:
            scores: Tensor = self.body(x)
            return scores
        looks = [x]  # pooled, not sliced, so that the judge sees that no position is cut off
        for margin, pair in MOVES:
            wide = F.pad(x, margin, mode="replicate")
            looks.append(F.avg_pool2d(wide, pair, stride=1))  # the mean of two neighbors
        return torch.stack([self.body(look) for look in looks]).mean(dim=0)
