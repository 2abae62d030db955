"""Receptive fields: fill the holes, each a `...`."""


def field_after(field: int, jump: int, window: int) -> int:
    """Return what a unit sees after a layer with this window, in pixels."""
    return ...


def walk(layers: list[tuple[int, int]]) -> tuple[int, int]:
    """Return field and jump after layers, each a window and a stride."""
    field, jump = 1, 1
    for window, stride in layers:
        field, jump = ...
    return field, jump


def dilated_window(window: int, dilation: int) -> int:
    """Return how many pixels a dilated window spans, gaps included."""
    return ...


def output_size(
    side: int, window: int, stride: int = 1, padding: int = 0, dilation: int = 1
) -> int:
    """Return the side of the map that a convolution makes."""
    return ...


def same_padding(window: int, dilation: int = 1) -> int:
    """Return the padding with which a convolution of stride 1 and odd window keeps the size."""
    return ...
