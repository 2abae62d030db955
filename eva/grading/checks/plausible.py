"""Too good to be true: above anything that this course has recorded for a size, with a margin."""

from __future__ import annotations

RECORDED = (
    (684, 99.01),
    (976, 99.27),
    (1952, 99.49),
    (3372, 99.61),
    (4914, 99.64),
    (7288, 99.55),
    (7458, 99.66),
    (7753, 99.61),
    (9266, 99.27),
    (13914, 99.31),
    (15800, 99.36),
)
"""Parameters and the best test accuracy of any epoch, in percent, of the runs in docs/records."""
MARGIN = 0.1  # points above the best


def too_good(parameters: int, accuracy: float) -> str | None:
    """A flag for the instructor, or None.

    Args:
        parameters: Numbers that the network stores.
        accuracy: On the test images, in percent.
    """
    larger = [size for size, _ in RECORDED if size >= parameters]
    limit = min(larger, default=RECORDED[-1][0])
    best = max(found for size, found in RECORDED if size <= limit)
    if accuracy <= best + MARGIN:
        return None
    return (
        f"{accuracy:.2f} % with {parameters:,} parameters is more than this course has ever "
        f"recorded up to {limit:,} ({best:.2f} %): look at how"
    )
