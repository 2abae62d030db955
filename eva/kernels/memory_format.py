"""In which order a model's maps lie in memory.

With channels_last, convolutions of few channels are faster on a CPU, and on a GPU our kernels take
them. A model that calls :meth:`torch.Tensor.view` on its maps takes them to lie in PyTorch's usual
order, and may fail in any other; a trial before training finds the first order that it runs with.
"""

from __future__ import annotations

import torch

FASTEST_FIRST = (torch.channels_last, torch.contiguous_format)
