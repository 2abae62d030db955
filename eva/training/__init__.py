"""Training: the loop, what it needs, and what it leaves behind.

Read :mod:`~eva.training.trainer` first; it is two screens. Each other module holds one thing that
the loop uses: ``totals`` (the sums of an epoch), ``optimizer`` and ``initialize`` (from the numbers
of a recipe to PyTorch), ``average`` (averaged weights), ``evaluation``, ``checkpoint``, ``trial``
(a batch before training starts), ``callbacks``, ``device``, ``machine`` and ``stopwatch``.
``lr_finder`` is a training of its own, in which the learning rate rises.
"""
