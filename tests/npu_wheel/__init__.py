"""The real torch_npu over a stub of CANN: its own API, dispatcher and error texts, with no Ascend device.

``make test-npu-wheel`` runs it, on Linux x86-64 with gcc. Kernels of the stub compute nothing: it says nothing about
the numbers or the speed of an Ascend device.
"""
