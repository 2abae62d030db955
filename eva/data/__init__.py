"""Data sets: found, fetched, verified, and held on the device that trains."""

from eva.data.dataset import DataName, Dataset, DataWarning, load_data

__all__ = ["DataName", "DataWarning", "Dataset", "load_data"]
