"""Data sets: found, fetched, verified, and held on the device that trains."""

from eva.data.augment import prepare
from eva.data.dataset import (
    PUBLISHED,
    DataName,
    Dataset,
    DataWarning,
    Images,
    epoch_order,
    fetch_data,
    find_data,
    images_of,
    load_data,
    load_mini,
    load_mnist,
    normalize,
    to_float,
    verify_data,
)

__all__ = [
    "PUBLISHED",
    "DataName",
    "DataWarning",
    "Dataset",
    "Images",
    "epoch_order",
    "fetch_data",
    "find_data",
    "images_of",
    "load_data",
    "load_mini",
    "load_mnist",
    "normalize",
    "prepare",
    "to_float",
    "verify_data",
]
