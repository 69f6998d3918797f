"""An Ascend NPU through torch_npu, operator by operator (eager), in inference mode."""

from __future__ import annotations

import copy
import importlib
import importlib.metadata
import importlib.util
import logging
import re
import sys
import time
import warnings
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from ...errors import BackendError, UsageError, did_you_mean
from ...models.lazy import import_torch
from .base import UNNAMED, unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor, nn

    from ...models.spec import Signature
    from .base import Array

    Precision = Literal["strict", "production", "fp16"]
    Shape = tuple[int, ...]

_LOG = logging.getLogger(__name__)

# Whether convolutions and matrix products may round float32 inputs to HF32, which keeps 11 mantissa bits. "production"
# is what torch_npu does by default. The flags hold for the process: they are set, not left alone.
_HF32 = {"strict": (False, False), "production": (True, False), "fp16": (True, False)}

# SoCs that torch_npu orders before the 910B1 compute float32 convolutions and matrix products in float16.
_FP16_SOC = re.compile(r"Ascend(310P\w*|910((Pro|Premium)?[AB])?)$")

# A failed kernel, copy or call of the runtime: torch_npu's own codes, and those of CANN that it passes on.
_DEVICE_FAULT = re.compile(r"error code is \d+|\bERR\d{5}\b|\bE[A-Z]\d{4}\b|\baclnn\w+ failed")

# Where a queued kernel or copy has failed, torch_npu reports it once and then drops all that is queued on that device
# without a word (Repository::Enqueue of its NPUQueue.cpp). So outputs are marked before they are copied: four such
# bytes are -4.2e37 as float32, two are a NaN as float16 that no arithmetic makes.
_NOT_WRITTEN = 0xFD

_NO_CANN = re.compile(r"(lib[\w.]+\.so[\w.]*): cannot open shared object file")
_SOURCE_CANN = (
    "Install CANN and load it into this shell: source /usr/local/Ascend/ascend-toolkit/set_env.sh "
    "(or where CANN is installed)"
)
_INSTALL = "Install it: pip install 'cvport[npu]'"


def unavailable_reason(device: str | None = None) -> str | None:
    """Return why this backend cannot run on *device* ("npu", "npu:N"; None is "npu:0"), or None if it can.

    The cause and, after a newline, the next step. Cheap looks come first: where torch_npu is not installed, not even
    torch is imported.
    """
    index = _index(device)
    if index is None:
        return f"it has no device {device!r}\nKnown devices: npu, npu:N."
    if importlib.util.find_spec("torch_npu") is None:
        return f"torch_npu is not installed\n{_INSTALL}"
    return _version_mismatch() or _import_failure() or _device_missing(index)


def _index(device: str | None) -> int | None:
    """Return N of "npu:N", or None for another device."""
    kind, colon, index = (device or "npu").partition(":")
    if kind != "npu" or (colon and not index.isdecimal()):
        return None
    return int(index or 0)


def _version(package: str) -> str:
    """Return the version of an installed package; an empty string where nothing tells it."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _release(version: str) -> tuple[str, ...]:
    """Return major, minor and patch of a version: torch_npu 2.9.0.post1 is for torch 2.9.0+cpu."""
    return tuple(re.findall(r"\d+", version)[:3])


def _version_mismatch() -> str | None:
    """Compare what is installed, before anything of it is loaded."""
    torch, torch_npu = _version("torch"), _version("torch_npu")
    if torch and torch_npu and _release(torch) != _release(torch_npu):
        wanted = ".".join(_release(torch_npu))
        return (
            f"torch_npu {torch_npu} is made for torch {wanted}, but torch {torch} is installed\n"
            f"Install what belongs together: pip install 'torch=={wanted}', or both anew: pip install 'cvport[npu]'"
        )
    return None


def _import_failure() -> str | None:
    """Return why torch or torch_npu cannot be imported, or None if they can."""
    try:
        with redirect_stdout(sys.stderr):  # torch_npu prints warnings of CANN's version and place; stdout is the result
            import_torch()
            importlib.import_module("torch_npu")
    except (Exception, SystemExit) as error:  # what a damaged package raises is anything, and some versions exit
        return _explain(error)
    return None


def _explain(error: BaseException) -> str:
    """Tell the reason of a failed import: that of the first failure, below what wraps it."""
    root = error
    while root.__cause__ is not None:
        root = root.__cause__
    if isinstance(root, ModuleNotFoundError) and root.name in ("torch", "torch_npu"):
        return f"{root.name} is not installed\n{_INSTALL}"
    text = str(root) or type(root).__name__
    first = text.splitlines()[0]
    missing = _NO_CANN.search(text)
    if missing:
        return f"torch_npu does not find CANN: {missing[0]}\n{_SOURCE_CANN}"
    versions = f"torch {_version('torch')}, torch_npu {_version('torch_npu')}"
    if "undefined symbol" in text:
        return (
            f"torch_npu does not fit this torch or this CANN ({versions}): {first}\n"
            "Install versions that belong together, see the table in torch_npu's README; then source set_env.sh again."
        )
    if isinstance(root, SystemExit):
        first = "it ends the process; its own message is above"
    return f"torch_npu cannot be imported ({versions}): {first}\nTry it alone: python -c 'import torch_npu'"


def _device_missing(index: int) -> str | None:
    """Return why there is no device of that number, or None if there is."""
    npu = import_torch().npu
    try:
        count = npu.device_count() if npu.is_available() else 0
    except RuntimeError as error:
        return f"the Ascend driver fails: {str(error).splitlines()[0]}\nLook at it: npu-smi info"
    if count == 0:
        return (
            "no Ascend device answers\nLook for it: npu-smi info. ASCEND_RT_VISIBLE_DEVICES may hide it, "
            "and a container needs the device and its driver mapped."
        )
    if index >= count:
        return (
            f"there is no npu:{index}: {count} device{'s'[: count > 1]}, npu:0"
            f"{f' to npu:{count - 1}' if count > 1 else ''}\n"
            "Numbers start at 0 among the devices that ASCEND_RT_VISIBLE_DEVICES names."
        )
    return None


class NpuBackend:
    """One network on one NPU. Use it from one thread.

    Results are on the host and the caller's own when `run` returns. Each image shape is compiled when it is first run:
    `warm_up` does it ahead of a measurement.

    Attributes:
        name: "npu".
        parallel: False: one stream of the device, one run at a time.
        device: "npu:N".
        precision: "strict", "production" or "fp16".
        inputs: Names of the inputs, as they were given.
        outputs: Names of the outputs, as they were given.
        settings: What the numbers depend on: ``soc``, ``device_index``, ``precision``, ``conv_allow_hf32``,
            ``matmul_allow_hf32``, ``float32_in_float16`` (whether the SoC computes so whatever is asked),
            ``jit_compile``, ``allow_internal_format``, ``torch``, ``torch_npu``, ``simulated`` (whether that calls
            itself so: then the numbers say nothing about an Ascend device), ``cann`` (None where it is not told).
        compile_seconds: For each input shape, the time of its first run, in which its operators were compiled.

    """

    name = "npu"
    parallel = False

    def __init__(
        self,
        network: nn.Module,
        device: str | None = None,
        threads: int | None = None,
        *,
        precision: Precision = "strict",
        signature: Signature = UNNAMED,
    ) -> None:
        """Put a copy of *network* on the device.

        Args:
            network: Maps one (N, 3, H, W) float32 tensor to a dict of tensors by name. It stays as it is.
            device: "npu:N"; None is "npu:0".
            threads: Of what runs on the CPU.
            precision: "strict" computes in float32. "production" lets convolutions round their inputs to HF32 as
                torch_npu does by default. "fp16" has float16 weights and activations; inputs and outputs stay float32.
            signature: Names of the network's inputs and outputs.

        Raises:
            BackendError: The backend or the device is not available, or the network does not fit into its memory.
            UsageError: There is no such precision.

        """
        if precision not in _HF32:
            raise UsageError(f"there is no precision {precision!r}", did_you_mean(precision, _HF32))
        reason = unavailable_reason(device)
        if reason:
            raise unavailable(self.name, reason)
        self._torch = torch = import_torch()
        if threads is not None:
            torch.set_num_threads(threads)
        self._device = torch.device("npu", _index(device))
        self.device = str(self._device)
        self.precision: str = precision
        self.inputs, self.outputs = signature
        self._dtype = torch.float16 if precision == "fp16" else torch.float32
        self._staging: dict[tuple[str, Shape], Tensor] = {}
        self._most_rows: dict[Shape, int] = {}
        self.compile_seconds: dict[Shape, float] = {}
        try:
            with self._device_errors():
                self._set_up()
                self._network: Any = copy.deepcopy(network).eval().to(self._device, self._dtype)
        except torch.OutOfMemoryError as error:
            raise BackendError(
                f"the network does not fit into the memory of {self.device}: {_first_line(error)}",
                "Another process may use the device: npu-smi info. Choose another with --device npu:N.",
            ) from error

    def _set_up(self) -> None:
        """Set the device, once and before its first use, and what holds for the process."""
        npu = self._torch.npu
        npu.set_device(self._device)
        npu.set_compile_mode(jit_compile=False)  # True compiles anew for each shape, which takes minutes
        npu.config.allow_internal_format = False  # write-only, and its default varies
        self._set_precision()
        soc = npu.get_device_name(self._device)
        torch_npu: str = importlib.import_module("torch_npu").__version__
        in_float16 = _FP16_SOC.match(soc) is not None
        self.settings: dict[str, Any] = {
            "soc": soc,
            "device_index": self._device.index,
            "precision": self.precision,
            "conv_allow_hf32": npu.conv.allow_hf32,
            "matmul_allow_hf32": npu.matmul.allow_hf32,
            "float32_in_float16": in_float16,
            "jit_compile": False,
            "allow_internal_format": False,
            "torch": self._torch.__version__,
            "torch_npu": torch_npu,
            "simulated": "simulated" in torch_npu,
            "cann": _cann_version(npu),
        }
        if in_float16 and self.precision != "fp16":
            _LOG.warning(
                "%s computes float32 convolutions and matrix products in float16; results differ more from a CPU's", soc
            )

    def _set_precision(self) -> None:
        npu = self._torch.npu
        npu.conv.allow_hf32, npu.matmul.allow_hf32 = _HF32[self.precision]

    def warm_up(self, inputs: Mapping[str, Array]) -> None:
        """Run inputs once if their shape is new, so that no later run of this shape compiles."""
        if not self.is_warm(inputs):
            self.run(inputs)

    def is_warm(self, inputs: Mapping[str, Array]) -> bool:
        """Tell whether all pieces that inputs of this shape are run in have been run."""
        (array,) = inputs.values()
        rows, *image = array.shape
        pieces = _pieces(rows, self._most_rows.get(tuple(image)))
        return all((size, *image) in self.compile_seconds for _, size in pieces)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return the outputs by name.

        A batch that does not fit into memory is run in two halves, and from then on in pieces of that size.

        Raises:
            BackendError: A half does not fit either, or the device fails.

        """
        (array,) = inputs.values()
        image, rows = array.shape[1:], len(array)
        outputs, reason = self._attempt(array)
        if outputs is None and rows > 1 and image not in self._most_rows:
            _LOG.warning("a batch of %d does not fit into the memory of %s; running halves", rows, self.device)
            self._torch.npu.empty_cache()
            self._most_rows[image] = (rows + 1) // 2
            outputs, reason = self._attempt(array)
            if outputs is None:
                rows = self._most_rows.pop(image)
        if outputs is None:
            smaller = f"Use a smaller --batch-size than {rows}" if rows > 1 else "Use a smaller --input-size"
            raise BackendError(
                f"a batch of {rows} does not fit into the memory of {self.device}: {reason}",
                f"{smaller}, or free the device: npu-smi info shows who uses it.",
            )
        return outputs

    def _attempt(self, array: Array) -> tuple[dict[str, Array] | None, str]:
        """Return the outputs, or None and what the device says if they do not fit into its memory.

        The error itself goes no further: its traceback holds what the failed run had on the device.
        """
        try:
            return self._run_pieces(array), ""
        except self._torch.OutOfMemoryError as error:
            return None, _first_line(error)

    def _run_pieces(self, array: Array) -> dict[str, Array]:
        pieces = _pieces(len(array), self._most_rows.get(array.shape[1:]))
        parts = [self._run_new_or_known(array[start : start + rows]) for start, rows in pieces]
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _run_new_or_known(self, array: Array) -> dict[str, Array]:
        """Run a batch; of the first of its shape, note the time and pass on what torch_npu warns of."""
        if array.shape in self.compile_seconds:
            return self._run_once(array)
        start = time.perf_counter()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            outputs = self._run_once(array)
        self.compile_seconds[array.shape] = time.perf_counter() - start
        for text in dict.fromkeys(str(warning.message) for warning in caught):
            _LOG.warning("%s: %s", self.device, text)
        return outputs

    def _run_once(self, array: Array) -> dict[str, Array]:
        """Run a batch: into pinned memory, to the device, through the network, and all the way back."""
        torch = self._torch
        with self._device_errors(), torch.inference_mode():
            self._set_precision()
            staged = self._pinned("input", array.shape, self._dtype)
            staged.copy_(torch.from_numpy(np.ascontiguousarray(array)))
            landed = {}
            try:
                outputs = self._network(staged.to(self._device, non_blocking=True))
                for name, value in outputs.items():
                    landed[name] = self._pinned(f"output {name}", value.shape, value.dtype)
                    self._last_bytes(landed[name]).fill_(_NOT_WRITTEN)
                    landed[name].copy_(value.contiguous(), non_blocking=True)
            finally:
                # The copies are only queued: outputs are there after this, and the staged input may be overwritten,
                # which holds after a failure too. The current device may be another one.
                torch.npu.synchronize(self._device)
            self._check_delivery(landed)
            return {name: value.to(torch.float32, copy=True).numpy() for name, value in landed.items()}

    def _check_delivery(self, landed: Mapping[str, Tensor]) -> None:
        """See that the outputs were written: a device that has failed is silent, and old values would be returned."""
        for name, value in landed.items():
            if value.numel() and bool((self._last_bytes(value) == _NOT_WRITTEN).all()):
                raise BackendError(
                    f"{self.device} does not deliver the output {name}: it has failed before in this process",
                    "Start a new process; with ASCEND_LAUNCH_BLOCKING=1 the first error names the operator.",
                )

    def _last_bytes(self, tensor: Tensor) -> Tensor:
        """Return the bytes of the last element, as a view."""
        return tensor.reshape(-1)[-1:].view(self._torch.uint8)

    def _pinned(self, use: str, shape: Shape, dtype: Any) -> Tensor:  # noqa: ANN401
        """Return pinned host memory for one use, taken once and then reused; it grows to the largest batch."""
        rows, *image = shape
        key = use, tuple(image)
        buffer = self._staging.get(key)
        if buffer is None or len(buffer) < rows:
            buffer = self._staging[key] = self._torch.empty(shape, dtype=dtype).pin_memory()
        return buffer[:rows]

    @contextmanager
    def _device_errors(self) -> Iterator[None]:
        """Make errors of the device BackendErrors; what is not the device's passes, and so does a lack of memory."""
        torch = self._torch
        try:
            yield
        except torch.OutOfMemoryError:
            raise
        except NotImplementedError as error:
            if not re.search(r"\bnpu\b", str(error), re.IGNORECASE):
                raise
            raise BackendError(
                f"{self.device} has no kernel for an operator of the network: {_first_line(error)}",
                "A newer torch_npu and CANN may have it; --backend onnx or torch runs the network elsewhere.",
            ) from error
        except RuntimeError as error:
            if "NPU out of memory" in str(error):
                raise torch.OutOfMemoryError(str(error)) from error
            if not _DEVICE_FAULT.search(str(error)):
                raise
            raise BackendError(
                f"{self.device} failed: {_first_line(error)}",
                "Run it again with ASCEND_LAUNCH_BLOCKING=1 in a new process: the error then names the operator.",
            ) from error

    def close(self) -> None:
        """Drop the network and the buffers, and give the memory back."""
        if self._network is None:
            return
        self._network = None
        self._staging.clear()
        self._torch.npu.empty_cache()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _pieces(rows: int, most: int | None) -> list[tuple[int, int]]:
    """Return start and number of rows of the pieces that a batch is run in."""
    step = most or max(rows, 1)
    return [(start, min(step, rows - start)) for start in range(0, max(rows, 1), step)]


def _cann_version(npu: Any) -> str | None:  # noqa: ANN401
    """Return CANN's version, which torch_npu tells from CANN 8.1 on."""
    get = getattr(getattr(npu, "utils", None), "get_cann_version", None)
    return (get() or None) if get is not None else None


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


def open_backend(
    runnable: nn.Module, *, device: str | None, threads: int | None, precision: str | None, signature: Signature
) -> NpuBackend:
    """Open the backend on a network; see `NpuBackend`."""
    chosen: Any = "strict" if precision is None else precision
    return NpuBackend(runnable, device, threads, precision=chosen, signature=signature)
