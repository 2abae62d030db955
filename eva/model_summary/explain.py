"""What a failed forward pass means, in words that say what to try."""

from __future__ import annotations

from torch import nn

from eva.model_summary.columns import format_size
from eva.rf import Failure

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.InstanceNorm2d)


def explain(failure: Failure, model: nn.Module) -> tuple[str, str]:
    """Problem and hint: the layer, what it got, what it expected, and what to try."""
    modules = dict(model.named_modules())
    module = modules.get(failure.layer)
    where = (
        f"layer {failure.layer!r} ({failure.type_name})" if failure.layer else "forward() itself"
    )
    got = ", ".join(format_size(size) for size in failure.input_sizes) or "no tensor"
    cause = f"{type(failure.exception).__name__}: {_first_line(failure.exception)}"
    problem = f"the forward pass failed in {where}, which got {got} (batch first).\n  {cause}"
    return problem, _hint(failure, module)


def _hint(failure: Failure, module: nn.Module | None) -> str:
    size = failure.input_sizes[0] if failure.input_sizes else ()
    message = str(failure.exception)
    if "dtype" in message or "scalar type" in message or "Tensor for argument" in message:
        return (
            "The layer wants numbers of another type. For an embedding give dtype=torch.long; "
            "for a model in half precision give its dtype."
        )
    if isinstance(module, nn.Linear) and size and size[-1] != module.in_features:
        return (
            f"It expects {module.in_features:,} features and got {size[-1]:,}. Either the input "
            f"size is not the one that the model was written for, or in_features should be "
            f"{size[-1]:,}. (After a global average pool it would not depend on the size.)"
        )
    if isinstance(module, CONVOLUTIONS):
        dims = len(module.kernel_size)
        if len(size) not in (dims + 1, dims + 2):
            return (
                f"It expects a map with {dims} spatial sides: was the tensor flattened too early?"
            )
        if size[-dims - 1] != module.in_channels:
            return (
                f"It expects {module.in_channels} channels and got {size[-dims - 1]}. If this is "
                "the first layer, give an input size with that many channels; else in_channels "
                "should be the out_channels of the layer before."
            )
        return (
            f"Its {format_size(module.kernel_size)} kernel does not fit the "
            f"{format_size(size[-dims:])} map that is left: use a larger input, padding, or fewer "
            "pools before it."
        )
    if isinstance(module, NORMS) and len(size) > 1 and size[1] != module.num_features:
        return (
            f"It normalizes {module.num_features} channels and got {size[1]}: num_features should "
            "be the out_channels of the convolution before it."
        )
    if "Output size is too small" in message or "smaller than kernel" in message:
        return "The map is smaller than the window: use a larger input, or fewer pools before it."
    return "Compare the shapes above with those that the layer's code expects."


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0]
