"""Every family of torchvision: a trace without error, and the fields that gradients measure."""

import functools
import re
from typing import Any

import pytest
import torch
import torchvision
from torch import nn
from torchvision.models import detection, maxvit, segmentation, vision_transformer

from eva import rf
from eva.rf import FieldStatus
from eva.rf.gradients import probe

pytestmark = pytest.mark.filterwarnings("ignore:The default weight init")


def family(name: str) -> str:
    return re.sub(r"[\d_].*", "", name.replace("_v2", "v2").replace("_v3", "v3"))


FAMILIES = {
    family(n): n for n in reversed(torchvision.models.list_models(module=torchvision.models))
} | {"regnet": "regnet_x_400mf", "swinv": "swin_v2_t"}


def without_squeeze_excitation(model: nn.Module) -> nn.Module:
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, torchvision.ops.SqueezeExcitation):
                setattr(module, name, nn.Identity())
    return model


@pytest.mark.parametrize("name", sorted(FAMILIES.values()))
def test_every_family_is_traced_without_numbers_and_without_unknowns(name: str) -> None:
    size = 299 if name == "inception_v3" else 224
    needs_numbers = name.startswith(("regnet", "swin_v2"))  # while it is built
    with torch.device("cpu" if needs_numbers else "meta"):
        model = torchvision.models.get_model(name)
    found = rf.trace(model, (3, size, size))
    assert found.device_fallback is None
    # Windows whose reshape can't be taken back whole end as a bound that says so.
    known = {"exact", "whole-input"} | ({"bound"} if name == "swin_v2_t" else set())
    assert {str(c.output_rf.status) for c in found.calls if c.output_rf} <= known


# model, layer whose map is compared, input size, whether squeeze-excitation is taken out
MEASURED: list[tuple[str, str, int, bool]] = [
    ("alexnet", "features", 127, False),
    ("convnext_tiny", "features.2", 64, False),
    ("densenet121", "features.transition2", 96, False),
    ("efficientnet_b0", "features.4", 96, True),
    ("efficientnet_b0", "features.4", 96, False),
    ("efficientnet_v2_s", "features.4", 96, True),
    ("googlenet", "inception4a", 96, False),
    ("inception_v3", "Mixed_5c", 107, False),
    ("mnasnet0_5", "layers.10", 96, False),
    ("mobilenet_v2", "features.10", 96, False),
    ("mobilenet_v3_small", "features.8", 96, True),
    ("mobilenet_v3_small", "features.8", 96, False),
    ("regnet_x_400mf", "trunk_output.block3", 96, False),
    ("regnet_y_400mf", "trunk_output.block2", 96, True),
    ("regnet_y_400mf", "trunk_output.block2", 96, False),
    ("resnet18", "layer3", 96, False),
    ("resnext50_32x4d", "layer1", 96, False),
    ("shufflenet_v2_x0_5", "stage3", 96, False),
    ("squeezenet1_1", "features", 96, False),
    ("swin_t", "features.1", 140, False),
    ("swin_v2_t", "features.1", 160, False),
    ("vgg11", "features.12", 48, False),
    ("wide_resnet50_2", "layer1", 64, False),
]


@functools.cache
def built(name: str, bare: bool) -> nn.Module:
    model = torchvision.models.get_model(name, weights=None)
    if name.startswith(("alexnet", "vgg")):
        model.classifier = nn.Identity()  # 100 million weights that the features don't need
    return without_squeeze_excitation(model) if bare else model


@pytest.mark.parametrize(("name", "layer", "size", "bare"), MEASURED)
def test_traced_fields_are_the_measured_ones(name: str, layer: str, size: int, bare: bool) -> None:
    model = built(name, bare)
    field = rf.receptive_field(model, (3, size, size), layer=layer)
    channels_last = name.startswith("swin")
    rows, columns = field.output_shape[1:3] if channels_last else field.output_shape[2:]
    units = [(0, 0), (rows // 2, columns // 2), (rows - 1, columns // 3)]
    if channels_last:  # the probe counts dimensions after the second as units
        units = [(u[0], u[1]) for u in units]
        model = nn.Sequential(_Upto(model, layer))
        masks = probe.fields(model, (3, size, size), units=units)
    else:
        masks = probe.fields(model, (3, size, size), layer, units)
    for unit, mask in zip(units, masks, strict=True):
        wide = len(field.unit_dims) > 2  # channels last: (row, column, any channel)
        traced = field.region((*unit, 0) if wide else () if channels_last else unit)
        measured = tuple(slice(h[0], h[1] + 1) for h in probe.hulls(mask) if h is not None)
        assert traced == measured, f"unit {unit}"
    assert field.status in (FieldStatus.EXACT, FieldStatus.WHOLE_INPUT)


class _Upto(nn.Module):
    """A swin transformer up to a layer, channels first."""

    def __init__(self, model: Any, layer: str) -> None:
        super().__init__()
        self.part = model.features[: int(layer.rpartition(".")[2]) + 1]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.part(x)
        return out.permute(0, 3, 1, 2)


def test_a_vision_transformer_sees_everything() -> None:
    model = vision_transformer.VisionTransformer(32, 8, 1, 2, 8, 16)
    assert rf.receptive_field(model, (3, 32, 32)).status is FieldStatus.WHOLE_INPUT
    patches = rf.receptive_field(model, (3, 32, 32), layer="conv_proj")
    assert (patches.size, patches.jump) == ((8, 8), (8, 8))
    assert bool(probe.fields(model, (3, 32, 32), units=[()]).all())


def test_maxvit_windows_see_their_window() -> None:
    model = maxvit.MaxVit((64, 64), 8, 4, [8], [1], 4, 0.0)
    found = rf.trace(model, (3, 64, 64))
    assert found.device_fallback is None
    assert found.field().status is FieldStatus.WHOLE_INPUT


@pytest.mark.parametrize(
    "build",
    [
        segmentation.fcn_resnet50,
        segmentation.deeplabv3_resnet50,
        segmentation.lraspp_mobilenet_v3_large,
    ],
)
def test_segmentation_models_have_results(build: Any) -> None:
    with torch.device("meta"):
        model = build(weights=None, weights_backbone=None)
    found = rf.trace(model, (3, 96, 96))
    assert found.outputs["out"].status in (FieldStatus.EXACT, FieldStatus.WHOLE_INPUT)


@pytest.mark.parametrize(
    "build",
    [
        detection.fasterrcnn_mobilenet_v3_large_320_fpn,
        detection.ssdlite320_mobilenet_v3_large,
        detection.retinanet_resnet50_fpn,
    ],
)
def test_detection_models_say_that_their_boxes_depend_on_data(build: Any) -> None:
    options = {} if "ssd" in build.__name__ else {"min_size": 64, "max_size": 96}
    model = build(weights=None, weights_backbone=None, **options)
    found = rf.trace(model, inputs=[[torch.rand(3, 64, 64)]])
    assert found.outputs["0.boxes"].status in (FieldStatus.DATA_DEPENDENT, FieldStatus.UNKNOWN)
    assert found.device_fallback is not None
