"""Data sets: found, fetched, verified, and held on the device that trains."""

from eva.data.dataset import (
    DataName,
    Dataset,
    DataWarning,
    batches,
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
    "batches",
    "epoch_order",
    "load_data",
    "load_mini",
    "load_mnist",
    "normalize",
    "to_float",
]
