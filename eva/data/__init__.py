"""Data sets: found, fetched, verified, and held on the device that trains."""

from eva.data.augment import prepare
from eva.data.dataset import (
    DataName,
    Dataset,
    DataWarning,
    epoch_order,
    load_data,
    load_mini,
    load_mnist,
    normalize,
    to_float,
)

__all__ = [
    "DataName",
    "DataWarning",
    "Dataset",
    "epoch_order",
    "load_data",
    "load_mini",
    "load_mnist",
    "normalize",
    "prepare",
    "to_float",
]
