"""Five networks whose receptive fields you predict. Read them; there is no need to run them."""

from collections import OrderedDict

from torch import Tensor, nn


def conv(stride: int = 1, padding: int = 0, dilation: int = 1) -> nn.Conv2d:
    """One channel in, one out, 3x3: channels do not change what a unit sees."""
    return nn.Conv2d(1, 1, kernel_size=3, stride=stride, padding=padding, dilation=dilation)


def pooled() -> nn.Module:
    """A pool in the middle."""
    return nn.Sequential(conv(), conv(), nn.MaxPool2d(kernel_size=2), conv(), conv())


def dilated() -> nn.Module:
    """Kernels with wider and wider holes."""
    return nn.Sequential(conv(dilation=1), conv(dilation=2), conv(dilation=4))


class Residual(nn.Module):
    """Adds what two convolutions make of its input to the input."""

    def __init__(self) -> None:
        super().__init__()
        self.first = conv(padding=1)
        self.second = conv(padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Keep the size of the map."""
        return x + self.second(self.first(x))


def residual() -> nn.Module:
    """One convolution of stride 2, then two residual blocks."""
    return nn.Sequential(conv(stride=2), Residual(), Residual())


def upsampled() -> nn.Module:
    """Down by a stride of 4, up again by copying every unit four times along each axis."""
    return nn.Sequential(conv(stride=4), nn.Upsample(scale_factor=4, mode="nearest"), conv())


def course() -> nn.Module:
    """The convolutions and pools of experiments 4 and 5, up to the last mean."""
    return nn.Sequential(
        OrderedDict(
            conv_1=conv(),
            conv_2=conv(),
            conv_3=conv(),
            pool=nn.MaxPool2d(kernel_size=2),
            conv_4=conv(),
            conv_5=conv(),
            conv_6=conv(),
            to_classes=nn.Conv2d(1, 10, kernel_size=1),
            mean=nn.AvgPool2d(kernel_size=5),
        )
    )


NETWORKS = {
    "pooled": pooled,
    "dilated": dilated,
    "residual": residual,
    "upsampled": upsampled,
    "course": course,
}
