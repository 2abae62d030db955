"""Every family of torchvision gives a summary, or says what is not exact."""

import math

import pytest
import torch
import torchvision
from torch import nn

from eva.model_summary import summary
from eva.rf import FieldStatus

FAMILIES = [
    "alexnet",
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "efficientnet_v2_s",
    "googlenet",
    "inception_v3",
    "maxvit_t",
    "mnasnet0_5",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "regnet_y_400mf",
    "resnet18",
    "resnext50_32x4d",
    "shufflenet_v2_x0_5",
    "squeezenet1_1",
    "swin_t",
    "swin_v2_t",
    "vgg11_bn",
    "vit_b_16",
    "wide_resnet50_2",
]
NEEDS_NUMBERS = ("regnet_y_400mf", "swin_v2_t")  # their constructors compute with tensors

SEGMENTATION = ["deeplabv3_mobilenet_v3_large", "fcn_resnet50", "lraspp_mobilenet_v3_large"]


def build(name: str) -> nn.Module:
    """The model with default arguments; no weights are drawn where it can do without."""
    options: dict[str, object] = {"weights": None}
    if name in ("googlenet", "inception_v3"):
        options["init_weights"] = False
    if name in SEGMENTATION:
        options["weights_backbone"] = None
    with torch.device("cpu" if name in NEEDS_NUMBERS else "meta"):
        return torchvision.models.get_model(name, **options)


def test_no_family_is_forgotten() -> None:
    known = torchvision.models.list_models(module=torchvision.models)
    stems = {name[:3] for name in FAMILIES}
    assert [name for name in known if name[:3] not in stems] == []


@pytest.mark.parametrize("name", FAMILIES)
def test_every_classification_family_gives_a_summary(name: str) -> None:
    side = 299 if name == "inception_v3" else 224
    found = summary(build(name).eval(), (3, side, side))
    assert found.rows[0].output_size == (1000,)
    assert found.mult_adds > 1e7
    assert all(row.rf is None or row.rf.status is not FieldStatus.UNKNOWN for row in found.rows)
    assert len(found.render("classic").splitlines()) > 20


@pytest.mark.parametrize("name", SEGMENTATION)
def test_segmentation_models_give_a_result_or_a_status(name: str) -> None:
    found = summary(build(name).eval(), (3, 224, 224))
    assert found.rows[0].output_size == (21, 224, 224)
    rf = found.rows[0].rf
    assert rf is not None
    assert rf.status in set(FieldStatus)
    assert math.prod(rf.size) > 1


@pytest.mark.parametrize(
    "name", ["ssdlite320_mobilenet_v3_large", "fasterrcnn_mobilenet_v3_large_320_fpn"]
)
def test_detection_models_say_which_operations_are_not_exact(name: str) -> None:
    model = torchvision.models.get_model(name, weights=None, weights_backbone=None).eval()
    found = summary(model, inputs=[[torch.rand(3, 320, 320)]])
    assert len(found.rows) > 200
    assert "Run on real tensors" in found.notes[0]
    assert "aten.topk" in found.notes[1]
    output = found.rows[0].rf
    assert output is not None
    assert output.status in (
        FieldStatus.UNKNOWN,
        FieldStatus.DATA_DEPENDENT,
        FieldStatus.WHOLE_INPUT,
    )
