"""Everything that exists for speed: skip it on first reading.

Every training gives the same results without this package, but for rounding.

- ``memory_format``: the order of a model's maps in memory, for any device.
- ``allocator``: where a CPU training's large blocks of memory come from.
- ``compile``: whether a training is compiled, and a model through PyTorch's compiler.
- ``targets``: one name for each operation, however a network calls it.
- ``folding``: each BatchNorm goes into the convolution after it, in a compiled model.
- ``cpu_dispatch``: which compiled models train by convolutions of our own on a CPU.
- ``cpu_kernels``: those convolutions, in C++. They run on Linux; elsewhere PyTorch's do, and a
  warning says so.
- ``cuda_graphs``: a step's kernels are captured once on a GPU, then started all at once.
- ``gpu_dispatch``: which convolutions run by kernels of our own on a GPU.
- ``gpu_kernels``: those kernels, in Triton.
"""
