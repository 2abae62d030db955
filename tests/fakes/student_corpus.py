"""Thirty small networks and recipes in the idioms that students of the course write.

Each is written anew for the tests. ``CORPUS`` gives a builder, a recipe, and whether everything
passes a global average pooling.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from eva.recipe import (
    SGD,
    Adam,
    AdamW,
    Brightness,
    CenterCrop,
    Contrast,
    Cosine,
    MultiStep,
    OneCycle,
    Plateau,
    RandomCrop,
    RandomErasing,
    Recipe,
    ResizedCrop,
    RMSprop,
    Rotation,
    Scale,
    Shear,
    Shift,
    Step,
    Triangular,
)

CORPUS: dict[str, tuple[Callable[[], nn.Module], Recipe, bool]] = {}
Made = Callable[[], nn.Module]


def recipe(**parts: object) -> Recipe:
    return Recipe(epochs=1, batch_size=64, **parts)


def student(training: Recipe, *, pooled: bool = True) -> Callable[[Made], Made]:
    def add(build: Made) -> Made:
        CORPUS[build.__name__] = (build, training, pooled)
        return build

    return add


def conv_bn(inputs: int, outputs: int, kernel: int = 3, **more: int) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, kernel, bias=False, **more)
    return [conv, nn.BatchNorm2d(outputs), nn.ReLU()]


@student(recipe(optimizer=SGD(0.05), schedule=Step(6)))
class FunctionalStyle(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 3)
        self.bn1 = nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, 10, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2, 2)
        x = self.conv2(x)
        x = F.adaptive_avg_pool2d(x, 1)
        return F.log_softmax(x.view(-1, 10), dim=-1)


@student(recipe(augment=(Rotation(7),)))
class DropoutByItsFlag(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 3, stride=2), nn.Conv2d(6, 10, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.dropout(F.relu(self.conv1(x)), 0.1, training=self.training)
        return self.conv2(x).mean(dim=[2, 3])


@student(recipe(optimizer=SGD(0.02, nesterov=True)))
def sequential_of_an_ordered_dict() -> nn.Module:
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 4, 3),
            norm1=nn.BatchNorm2d(4),
            relu1=nn.ReLU(inplace=True),
            pool1=nn.MaxPool2d(2, 2),
            conv2=nn.Conv2d(4, 10, 3),
            gap=nn.AvgPool2d(kernel_size=11),
            flatten=nn.Flatten(),
        )
    )


class Adjustable(nn.Module):
    """A constructor with arguments."""

    def __init__(self, width: int = 4, drop: float = 0.0, norm: str = "bn") -> None:
        super().__init__()
        norms = {"bn": nn.BatchNorm2d(width), "ln": nn.GroupNorm(1, width)}
        norms["gn"] = nn.GroupNorm(2, width)
        self.block = nn.Sequential(
            nn.Conv2d(1, width, 3), norms[norm], nn.ReLU(), nn.Dropout(drop), nn.MaxPool2d(2)
        )
        self.head = nn.Conv2d(width, 10, 1)
        self.gap = nn.AdaptiveAvgPool2d((1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.gap(self.head(self.block(x)))
        return x.view(x.size(0), -1)


@student(recipe(optimizer=Adam()))
def constructor_with_arguments() -> nn.Module:
    return Adjustable(6, drop=0.05)


@student(recipe(optimizer=AdamW(), weight_decay=1e-4))
def group_norm_by_its_name() -> nn.Module:
    return Adjustable(norm="gn")


class GhostNorm(nn.BatchNorm2d):
    """BatchNorm over each part of a batch, with one set of running statistics."""

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        if not self.training or batch % 2:
            return super().forward(x)
        parts = x.view(2, batch // 2, channels, height, width)
        mean = parts.mean((1, 3, 4), keepdim=True)
        spread = parts.var((1, 3, 4), keepdim=True, unbiased=False)
        y = ((parts - mean) / (spread + self.eps).sqrt()).view(x.shape)
        return y * self.weight.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)


@student(recipe(l1=1e-5))
class LayersInAList(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for inputs, outputs in ((1, 4), (4, 6), (6, 10)):
            self.layers.append(nn.Conv2d(inputs, outputs, 3, stride=2))

    def forward(self, x: Tensor) -> Tensor:
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index < len(self.layers) - 1:
                x = torch.relu(x)
        return torch.flatten(F.avg_pool2d(x, x.shape[-2:]), 1)


@student(recipe(schedule=OneCycle(peak_at=0.4, momentum=(0.85, 0.95))))
class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*conv_bn(1, 6, 3, stride=2))
        self.body = nn.Sequential(*conv_bn(6, 6, 3, padding=1))
        self.head = nn.Linear(6, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x + self.body(x)
        x = F.adaptive_avg_pool2d(x, 1).squeeze(-1).squeeze(-1)
        return self.head(x)


@student(recipe(schedule=Cosine(warmup=0.2)))
def dilated() -> nn.Module:
    return nn.Sequential(
        *conv_bn(1, 4, 3, dilation=2), *conv_bn(4, 4, 3, dilation=2, stride=2),
        nn.Conv2d(4, 10, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip


@student(recipe(schedule=Triangular(0.3), augment=(Shift(2), Scale(0.1))))
def depthwise_separable() -> nn.Module:
    return nn.Sequential(
        *conv_bn(1, 8, 3, stride=2), *conv_bn(8, 8, 3, groups=8), *conv_bn(8, 12, 1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 10, bias=False),
    )  # fmt: skip


class Gate(nn.Module):
    """Squeeze and excite."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(channels, 2), nn.Linear(2, channels)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, _, _ = x.size()
        weight = self.fc2(F.relu(self.fc1(x.mean((2, 3))))).sigmoid()
        return x * weight.view(batch, channels, 1, 1).expand_as(x)


@student(recipe(augment=(Rotation(10, fill=0.1), Shear(5))))
def squeeze_and_excite() -> nn.Module:
    return nn.Sequential(
        *conv_bn(1, 6, 3, stride=2), Gate(6), nn.Conv2d(6, 10, 3), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )  # fmt: skip


@student(recipe(augment=(CenterCrop(22, probability=0.1),)))
class TwoBranches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wide, self.narrow = nn.Conv2d(1, 3, 5, padding=2), nn.Conv2d(1, 3, 3, padding=1)
        self.out = nn.Conv2d(6, 10, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.wide(x), self.narrow(x)], dim=1)
        return self.out(F.relu(x)).mean(-1).mean(-1)


@student(recipe(augment=(ResizedCrop((0.8, 1.0), probability=0.3),)), pooled=False)
class ViewAfterAPool(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 5, stride=2)
        self.fc1, self.fc2 = nn.Linear(4 * 6 * 6, 16), nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv(x)), 2)
        x = x.view(-1, 4 * 6 * 6)
        return self.fc2(F.relu(self.fc1(x)))


@student(recipe(), pooled=False)
def convolution_of_the_maps_size() -> nn.Module:
    return nn.Sequential(
        *conv_bn(1, 4, 3, stride=2), *conv_bn(4, 6, 3, stride=2), nn.Conv2d(6, 10, 6), nn.Flatten()
    )


@student(recipe(label_smoothing=0.1))
class PoolThenConvolution(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(*conv_bn(1, 8, 5, stride=2))
        self.gap, self.fc = nn.AvgPool2d(12), nn.Conv2d(8, 10, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.gap(self.features(x))).reshape(-1, 10)


@student(recipe(ema=0.99))
def blocks_as_classes() -> nn.Module:
    class Block(nn.Sequential):
        def __init__(self, inputs: int, outputs: int) -> None:
            super().__init__(*conv_bn(inputs, outputs), nn.Dropout2d(0.02))

    return nn.Sequential(
        Block(1, 4), nn.MaxPool2d(2), Block(4, 6), nn.Conv2d(6, 10, 1), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(start_dim=1),
    )  # fmt: skip


@student(recipe(optimizer=RMSprop(0.001)))
class MethodsForParts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = self._make(1, 5), self._make(5, 7)
        self.classify = nn.Linear(7, 10)

    def _make(self, inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(*conv_bn(inputs, outputs, 3, stride=2))

    def features(self, x: Tensor) -> Tensor:
        return self.conv2(self.conv1(x))

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.features(x).flatten(2).mean(2))


@student(recipe(clip_grad_norm=1.0))
class SharedConvolution(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.again = nn.Conv2d(1, 5, 3, stride=2), nn.Conv2d(5, 5, 3, padding=1)
        self.last = nn.Conv2d(5, 10, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        for _ in range(2):
            x = self.again(x).relu()
        return self.last(x).mean((-2, -1))


@student(recipe(schedule=MultiStep((3, 6))))
class DictOfModules(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleDict({"a": nn.Conv2d(1, 4, 3), "b": nn.Conv2d(4, 10, 3, 2)})

    def forward(self, x: Tensor) -> Tensor:
        for part in self.parts.values():
            x = part(F.leaky_relu(x, 0.1))
        return x.mean([2, 3])


@student(recipe(schedule=Plateau(patience=2)))
def activations_of_all_kinds() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.PReLU(4), nn.Conv2d(4, 4, 3, 2), nn.GELU(), nn.Conv2d(4, 10, 1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip


@student(recipe(augment=(Brightness(0.2), Contrast(0.2))))
class PadsByHand(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 4, 3, stride=2), nn.Conv2d(4, 10, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv(F.pad(x, (1, 1, 1, 1), mode="reflect")))
        return self.head(x).mean(3).mean(2)


@student(recipe(augment=(RandomErasing(0.3, pixels=5),)))
class MobileBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*conv_bn(1, 4, 3, stride=2))
        self.block = nn.Sequential(
            nn.Conv2d(4, 8, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(),
            nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False), nn.BatchNorm2d(8), nn.ReLU6(),
            nn.Conv2d(8, 4, 1, bias=False), nn.BatchNorm2d(4),
        )  # fmt: skip
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.head(self.block(x) + x)


@student(recipe(augment=(RandomCrop(2),)))
class PrintsAndComments(nn.Module):
    def __init__(self, verbose: bool = False) -> None:
        super(PrintsAndComments, self).__init__()  # noqa: UP008  as the tutorials have it
        self.verbose = verbose
        self.convblock1 = nn.Sequential(nn.Conv2d(1, 6, (3, 3), padding=0, bias=False), nn.ReLU())
        self.pool1 = nn.MaxPool2d(2, 2)  # 26 -> 13
        self.convblock2 = nn.Sequential(nn.Conv2d(6, 10, (3, 3), padding=1, bias=False))
        self.gap = nn.Sequential(nn.AvgPool2d(kernel_size=13))

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool1(self.convblock1(x))
        x = self.gap(self.convblock2(x))
        if self.verbose:
            print(x.shape)
        x = x.view(-1, 10)
        return F.log_softmax(x, dim=-1)


@student(recipe(init="kaiming_normal"))
class DrawsItsWeights(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 6, 5, stride=2), nn.Linear(6, 10)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan = module.in_channels * math.prod(module.kernel_size)
                nn.init.normal_(module.weight, 0, math.sqrt(2 / fan))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.mean(F.relu(self.conv(x)), dim=(2, 3)))


@student(recipe())
class ChannelsSplitAndJoined(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, stride=2)
        self.left, self.head = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(8, 10, 1)

    def forward(self, x: Tensor) -> Tensor:
        left, right = torch.chunk(self.stem(x).relu(), 2, dim=1)
        x = torch.cat((self.left(left).relu(), right), 1)
        return self.head(x).mean((2, 3))


@student(recipe())
class ScaledByAParameter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 10, 3, stride=2), nn.InstanceNorm2d(10, affine=True)
        self.temperature = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)).relu().mean((2, 3)) * self.temperature


@student(recipe())
def strided_in_place_of_pools() -> nn.Module:
    layers = [layer for c in (1, 4, 6) for layer in conv_bn(c, c + 3 if c > 1 else 4, 3, stride=2)]
    layers[3] = nn.Conv2d(4, 6, 3, stride=2, bias=False)
    layers[4] = nn.BatchNorm2d(6)
    return nn.Sequential(
        *layers, nn.Conv2d(9, 10, 1), nn.AdaptiveAvgPool2d(output_size=1), nn.Flatten()
    )


@student(recipe(interpolation="nearest", augment=(Rotation(5),)))
class AddsBothPools(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.out = nn.Conv2d(1, 6, 5, stride=2), nn.Linear(6, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x).relu()
        return self.out(F.adaptive_avg_pool2d(x, 1).flatten(1)) + self.out(x.mean((2, 3)))


@student(recipe(), pooled=False)
def no_convolution_at_all() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 8), nn.ReLU(), nn.Linear(8, 10))


@student(recipe())
def ghost_batch_norm() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, stride=2, bias=False), GhostNorm(6), nn.ReLU(), nn.Conv2d(6, 10, 3),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip


@student(recipe(augment=(Rotation(7), Shift(1))))
def pixels_to_channels() -> nn.Module:
    return nn.Sequential(
        nn.PixelUnshuffle(2), *conv_bn(4, 6), nn.Conv2d(6, 10, 3), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )  # fmt: skip
