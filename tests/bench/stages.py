"""What preprocessing and postprocessing cost beside the network."""

from __future__ import annotations

from .figures import Section, compare, in_turns
from .subjects import NETWORKS, ONE_THREAD, SCENE, one_thread, scene

# The part of the network's time that may go into everything around it.
_TARGETS = {"nano": 0.07, "s": 0.015}


def measure_stages(quick: bool) -> Section:
    """Measure preprocessing and postprocessing as parts of network time."""
    rows, details = [], {}
    with one_thread():
        for size in NETWORKS:
            stage = scene(size)
            parts = in_turns({"own": stage.run}, 30 if quick else 150)["own"]
            network = parts["network"]
            rows += [
                compare(f"{stage.name}: preprocess", "network", network, parts["pre"]),
                compare(f"{stage.name}: postprocess", "network", network, parts["post"]),
                compare(f"{stage.name}: both", "network", network, parts["pre+post"], _TARGETS[size]),
            ]
            details[size] = stage.to_dict()
    notes = [SCENE, f"{ONE_THREAD}; postprocess is all that follows the network, the check for NaN included"]
    return Section("preprocess + postprocess beside the network", rows, notes, percent=True, details=details)
