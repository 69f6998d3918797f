"""What the NPU backend costs around the network, on a simulated device."""

from __future__ import annotations

import numpy as np
import torch

from cvport.models.registry import get_model
from cvport.models.weights.files import open_weights
from cvport.runtimes.backends.npu import NpuBackend

from .figures import Row, Section, compare, in_turns, latency, timed
from .subjects import one_thread, photo

_MODELS = ("nanodet", "hand_static")
_DEVICE = "npu:0"


def measure_npu(quick: bool) -> Section:
    """Measure copies, waiting and bookkeeping: a run of the backend beside the bare network on the same device."""
    import npu_sim

    notes = [
        "SIMULATED: no Ascend device is at hand. Copies are the host's own and operators run on the CPU; nothing here "
        "is an Ascend device's speed. What is left between the two is the backend's own code",
    ]
    reason = npu_sim.why_not()
    if reason:
        return Section("NPU backend (simulated), not measured", [], [reason])
    rows: list[Row] = []
    details = {}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with npu_sim.plug_in(), one_thread():
            for name in _MODELS:
                made, figures = _measure(name, 10 if quick else 50)
                rows += made
                details |= figures
    finally:
        torch.set_num_threads(threads)
    return Section("NPU backend (simulated)", rows, notes, details=details)


def _measure(name: str, runs: int) -> tuple[list[Row], dict[str, dict[str, float]]]:
    spec = get_model(name)
    checkpoint = open_weights(spec, "seeded")
    plan = spec.plan(checkpoint)
    network = spec.fuse(spec.build_network(checkpoint.state, plan.variant))
    array = spec.preprocess(photo(), plan.preprocess)[0][None]
    with NpuBackend(network, _DEVICE) as backend:
        backend.warm_up({"input": array})
        warm_up = 1000 * backend.compile_seconds[array.shape]
        on_device = torch.from_numpy(np.ascontiguousarray(array)).to(_DEVICE)
        copy = spec.fuse(network).to(_DEVICE)

        def bare() -> None:
            with torch.inference_mode():
                copy(on_device)
            torch.npu.synchronize()  # type: ignore[attr-defined]

        def eager() -> None:
            with torch.inference_mode():
                network(torch.from_numpy(array))

        parts = in_turns(
            {"run": timed(lambda: backend.run({"input": array})), "bare": timed(bare), "cpu": timed(eager)}, runs
        )
    run, device, cpu = (parts[kind]["total"] for kind in ("run", "bare", "cpu"))
    around = np.maximum(run - device, 0.0)
    rows = [
        compare(f"{name}: backend.run", "the network alone, simulated device", device, run),
        compare(f"{name}: copies, waiting, bookkeeping", "the network alone, simulated device", device, around),
    ]
    figures = {
        f"{name} simulated npu": {**latency(run, cpu), "warm-up": warm_up},
        f"{name} torch cpu": latency(cpu, cpu),
    }
    return rows, figures
