"""How a run is spread over the cores: for one picture the time to its result counts, for many the pictures a second.

A network gains less from a second thread than a second picture does: with one thread each, both cores are busy all the
time, and reading, preprocessing and decoding of one picture overlap the network of another.
"""

from __future__ import annotations

import json
import os
import platform
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..errors import CvportError
from .backends.registry import open_backend
from .digests import cache_file, cached_digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .backends.base import Array, Backend

# Fewer pictures are over before more threads have paid for themselves.
_STREAM = 4
# Up to so many cores one run a core was the fastest, or as fast as any other, for networks of every size.
_CLEAR = 2
# Each candidate of a measurement runs this long, in seconds.
_TRIAL = 0.3
_MOST_RECORDS = 256


class Arrangement(NamedTuple):
    """How a run is spread over the cores.

    Attributes:
        workers: Items that are worked on at the same time.
        threads: CPU threads of each run of the network; None is the backend's default.

    """

    workers: int
    threads: int | None


def arrange(
    total: int | None,
    *,
    shares: bool,
    path: Path | None = None,
    workers: int | None = None,
    threads: int | None = None,
) -> Arrangement:
    """Return how a run is to be spread over the cores.

    Args:
        total: Number of items; None where it is not known.
        shares: Whether runs of the network can share the cores of this machine; on a device they take turns.
        path: The exported file, to be measured where the answer is not clear; None where there is none.
        workers: What the user wants.
        threads: What the user wants. Without `workers` all else then stays as for one picture.

    """
    cores = available_cores()
    if workers is not None:
        return Arrangement(workers, threads or (max(1, cores // workers) if shares else None))
    if threads is not None or (total is not None and total < _STREAM) or cores == 1:
        return Arrangement(1, threads)
    if not shares:
        return Arrangement(2, None)  # one is read and prepared while the device runs another
    if cores <= _CLEAR or path is None:
        return Arrangement(cores, 1)
    return _measured(path, cores)


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _measured(path: Path, cores: int) -> Arrangement:
    """Return what was the fastest for a file on this machine, as measured now or before."""
    import onnxruntime

    from .seal import content_digest

    place = cache_file()
    known = {} if place is None else _read(place.with_name("arrangements.json"))
    try:
        digest = cached_digest(path, content_digest)
        key = f"{digest} onnxruntime {onnxruntime.__version__} {processor()} {cores}"
        if key in known:
            return known[key]
        rates = {candidate: _rate(path, candidate) for candidate in _candidates(cores)}
    except CvportError:  # the run itself tells what is wrong with the file
        return Arrangement(cores, 1)
    best = max(rates, key=lambda candidate: rates[candidate])
    if place is not None:
        known.pop(key, None)
        known[key] = best
        _write(place.with_name("arrangements.json"), dict(list(known.items())[-_MOST_RECORDS:]))
    return best


def _candidates(cores: int) -> Iterator[Arrangement]:
    """Yield one run a core, half as many with two threads each, and so on."""
    threads = 1
    while threads <= cores:
        yield Arrangement(cores // threads, threads)
        threads *= 2


def _rate(path: Path, candidate: Arrangement) -> float:
    """Return runs a second of a file on zeros."""
    from concurrent.futures import ThreadPoolExecutor

    workers, threads = candidate
    with open_backend("onnx", path, threads=threads) as backend, ThreadPoolExecutor(workers) as pool:
        inputs = _zeros(backend, path)
        backend.run(inputs)
        end = time.perf_counter() + _TRIAL

        def count(_worker: int) -> tuple[int, float]:
            runs = 0
            while time.perf_counter() < end:
                backend.run(inputs)
                runs += 1
            return runs, time.perf_counter()

        began = time.perf_counter()
        counted = list(pool.map(count, range(workers)))
    return sum(runs for runs, _ in counted) / (max(last for _, last in counted) - began)


def _zeros(backend: Backend, path: Path) -> dict[str, Array]:
    import numpy as np

    from .seal import read_seal

    seal = read_seal(path)
    rows = seal.batch if isinstance(seal.batch, int) else 1
    return {backend.inputs[0]: np.zeros((rows, 3, *seal.input_size), np.float32)}


def processor() -> str:
    """Return the name of the processor, as the system tells it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _read(place: Path) -> dict[str, Arrangement]:
    """Return what was measured before; nothing where it cannot be read."""
    try:
        content = json.loads(place.read_text(encoding="utf-8"))
        return {str(key): Arrangement(max(1, int(pair[0])), max(1, int(pair[1]))) for key, pair in content.items()}
    except (OSError, ValueError, TypeError, IndexError, KeyError, AttributeError, RecursionError):
        return {}


def _write(place: Path, known: dict[str, Arrangement]) -> None:
    """Write what was measured, whole or not at all; a cache that cannot be written is no error."""
    partial = place.with_name(f".{place.name}.{os.getpid()}")
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_text(json.dumps(known), encoding="utf-8")
            partial.replace(place)
        finally:
            partial.unlink(missing_ok=True)
