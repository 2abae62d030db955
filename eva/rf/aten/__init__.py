"""The rules of PyTorch's own operations.

:mod:`~eva.rf.aten.reductions` has those that slide or mix, :mod:`~eva.rf.aten.movement` those that
rearrange, :mod:`~eva.rf.aten.products` matrix products and attention,
:mod:`~eva.rf.aten.resampling` interpolation, padding and unfolding. Each registers its functions
with ``@rule``; ``RULES`` is the table they are registered in.
"""

from eva.rf.aten import movement, products, reductions, resampling
from eva.rf.aten.base import RULES

__all__ = ["RULES", "movement", "products", "reductions", "resampling"]
