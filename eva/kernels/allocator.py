"""Where a CPU training's large blocks of memory come from."""

from __future__ import annotations

import ctypes
import platform

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # as in malloc.h
HEAP_BLOCK = 2**30  # bytes; larger blocks are mapped all the same


def allocate_from_heap() -> None:
    """Have glibc take large blocks from its heap in this process; without glibc nothing happens.

    By default it maps each block over 128 kB anew, at the start of a page. In about half of all
    processes the buffers of a training step then lie so that the same step takes up to 1.8 times
    as long; from the heap, few do. It is the backward pass of BatchNorm that is slow then, so a
    compiled run, whose passes are its own, is spared.

    References:
        mallopt(3), M_MMAP_THRESHOLD and M_TRIM_THRESHOLD.
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        for parameter in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD):
            mallopt(parameter, HEAP_BLOCK)
