"""The rules of PyTorch's own operations: reductions, movement, products, resampling."""

from eva.rf.aten.reductions import RULES

__all__ = ["RULES"]
