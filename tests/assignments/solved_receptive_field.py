"""A solution of the assignment receptive_field, for our own tests."""

from typing import Any

PREDICTIONS = {"pooled": 14, "dilated": 15, "residual": 19, "upsampled": 7, "course": 28}


def after_layer(size: int, jump: int, field: int, layer: Any) -> tuple[int, int, int]:
    reach = layer.dilation * (layer.kernel - 1)
    after = (size + 2 * layer.padding - reach - 1) // layer.stride + 1
    return after, jump * layer.stride, field + reach * jump


def field_of(layers: list[Any]) -> int:
    size, jump, field = 10_000, 1, 1
    for layer in layers:
        size, jump, field = after_layer(size, jump, field, layer)
    return field


def layers_to_see(size: int) -> int:
    return size // 2
