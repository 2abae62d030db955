"""Receptive fields: the solutions."""


# --8<-- [start:field_after]
def field_after(field: int, jump: int, window: int) -> int:
    """Return what a unit sees after a layer with this window, in pixels."""
    return field + (window - 1) * jump


# --8<-- [end:field_after]


# --8<-- [start:walk]
def walk(layers: list[tuple[int, int]]) -> tuple[int, int]:
    """Return field and jump after layers, each a window and a stride."""
    field, jump = 1, 1
    for window, stride in layers:
        field, jump = field + (window - 1) * jump, jump * stride
    return field, jump


# --8<-- [end:walk]


# --8<-- [start:dilated_window]
def dilated_window(window: int, dilation: int) -> int:
    """Return how many pixels a dilated window spans, gaps included."""
    return dilation * (window - 1) + 1


# --8<-- [end:dilated_window]


# --8<-- [start:output_size]
def output_size(
    side: int, window: int, stride: int = 1, padding: int = 0, dilation: int = 1
) -> int:
    """Return the side of the map that a convolution makes."""
    return (side + 2 * padding - dilation * (window - 1) - 1) // stride + 1


# --8<-- [end:output_size]


# --8<-- [start:same_padding]
def same_padding(window: int, dilation: int = 1) -> int:
    """Return the padding with which a convolution of stride 1 and odd window keeps the size."""
    return dilation * (window - 1) // 2


# --8<-- [end:same_padding]
