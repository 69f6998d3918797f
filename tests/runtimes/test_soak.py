"""Many inferences one after the other: memory, open files and threads stay what they were."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest

from cvport.exporters.gate.probes import scene
from cvport.runtimes.load import load

COUNT = int(os.environ.get("CVPORT_SOAK", "20000"))
# After so many everything that is kept is there: buffers of each size, pools of threads, arenas of allocators.
SETTLED = COUNT // 10
MIB = 1 << 20

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc, which is not here"),
]


def usage():
    """Resident memory in bytes, open files, threads."""
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resident, len(list(Path("/proc/self/fd").iterdir())), len(list(Path("/proc/self/task").iterdir()))


@pytest.mark.parametrize("backend", ["onnx", "torch", "npu"])
def test_nothing_grows(nano_416, backend, request):
    if backend == "npu":
        request.getfixturevalue("npu")  # simulated: this is about what is kept here, not on a device
    sizes = np.random.default_rng(0).integers(40, 700, (24, 2)).tolist()
    images = [scene(height, width, seed=i) for i, (height, width) in enumerate(sizes)]
    options = {} if backend == "onnx" else {"weights": nano_416.weights}
    with load(nano_416.onnx, backend=backend, score_threshold=0.15, max_detections=20, **options) as predictor:
        assert predictor.preprocess_params.input_size == (416, 416)
        first = [predictor(image).to_dict() for image in images]
        assert any(result["detections"] for result in first)
        for number in range(COUNT):
            if number == SETTLED:
                before = usage()
            predictor(images[number % len(images)])
        after = usage()
        assert [predictor(image).to_dict() for image in images] == first, "the last results are the first"
    print(f"{backend}: {COUNT} inferences, resident {before[0] / MIB:.1f} -> {after[0] / MIB:.1f} MiB, {after[1:]}")
    assert after[0] - before[0] < 8 * MIB, f"{(after[0] - before[0]) / MIB:.1f} MiB more"
    assert after[1:] == before[1:]
    assert threading.active_count() < 20
