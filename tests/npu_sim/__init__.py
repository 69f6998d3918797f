"""A simulated Ascend NPU for PyTorch, in pure Python: real `npu` tensors over host memory.

It holds the NPU backend to what is known of torch_npu where there is no Ascend device. It says nothing about the speed
or the accuracy of an Ascend device, and what runs on it must say so: ``torch_npu.__version__`` ends in ``+simulated``.

Simulated:
    - the device as torch sees it: ``npu:N``, errors for mixed devices, ``.numpy()``, an index that is not there;
    - ``torch_npu`` in `sys.modules` with its version in `importlib.metadata`, and the part of ``torch.npu`` that
      inference needs (module `api`);
    - float32 convolutions and matrix products at the precision of the SoC: HF32 where it is allowed (convolutions by
      default), float16 on a SoC older than the 910B1; float16 tensors with sums in float32; GELU in its tanh form;
    - operators that torch_npu's support table leaves out (module `rules`), others on demand, the CPU fallback with its
      warning;
    - memory: a limit a device, what is allocated, its peak, the text of the error;
    - asynchronous copies: host memory reads NaN until a synchronisation of the device it comes from, and overwriting
      pinned memory that a copy still reads is reported at the next one;
    - the cost of the first run of each operator and shapes; injected faults; counts of calls and synchronisations.

Not simulated: kernels' own rounding and order of sums (the CPU's are used), streams that run side by side, casts of
autocast, graphs, internal formats, profiling, the backward pass of convolutions, fused LSTM, an allocator's cache and
fragmentation, `torch.accelerator.synchronize`; ``torch.UntypedStorage(n, device="npu")`` crashes.

It rests on private interfaces of PyTorch: `why_not` tells whether this version is one it knows.
"""

from .install import installed, plug_in, why_not
from .machine import GIB, machine

__all__ = ["GIB", "installed", "machine", "plug_in", "why_not"]
