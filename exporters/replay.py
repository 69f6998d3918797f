"""Evidence of a failed comparison: kept with the rejected file, and run again by ``python replay.py``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from ..errors import ParityFailed
from ..models.registry import get_model
from ..models.weights.digest import sha256_file
from ..runtimes.commands.console import run_command
from ..runtimes.predictor import View, load
from ..runtimes.seal import read_params
from .gate.kinds import KINDS, Decoder
from .gate.parity import CaseReference, Reference, compare_file, row
from .report.record import floor_from_dict, limits_from_dict, make_record, read_record
from .report.text import render

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_SCRIPT = '''"""Run the failed comparison again: the stored inputs and PyTorch outputs against {name}.

Needs cvport and its base install; PyTorch is not needed. Exit code 6 if it fails as it did.
"""

import sys
from pathlib import Path

from cvport.exporters.replay import main

sys.exit(main(Path(__file__).parent / "{name}"))
'''


def save_evidence(folder: Path, onnx_name: str, reference: Reference) -> None:
    """Write the pictures, network inputs and PyTorch outputs of every case, and the script that uses them."""
    np.savez_compressed(folder / "inputs.npz", **evidence_arrays(reference))
    (folder / "replay.py").write_text(_SCRIPT.format(name=onnx_name), encoding="utf-8")


def evidence_arrays(reference: Reference) -> dict[str, Any]:
    """Return the pictures, network inputs and outputs of every case by name."""
    arrays: dict[str, Any] = {}
    for i, case in enumerate(reference.cases):
        arrays[f"{i}/input"] = case.inputs
        arrays |= {f"{i}/output/{name}": value for name, value in case.outputs.items()}
        arrays |= {f"{i}/picture/{j}": picture for j, picture in enumerate(view.image for view in case.views)}
    return arrays


def rebuild_reference(arrays: Mapping[str, Any], record: Mapping[str, Any]) -> Reference:
    """Return the PyTorch leg as it was: its inputs and outputs as stored, its results decoded from them again.

    Args:
        arrays: From `evidence_arrays`.
        record: With the keys ``seal``, ``cases``, ``noise_floor`` and ``limits`` of a parity.json.

    """
    sealed = record["seal"]
    spec = get_model(sealed["model"])
    preprocess_type, postprocess_type = spec.params_types
    preprocess = read_params(preprocess_type, sealed["preprocess"], "the recorded preprocessing")
    postprocess = read_params(postprocess_type, sealed["postprocess"], "the recorded postprocessing")
    decoder = Decoder(spec, postprocess, tuple(sealed["labels"]))
    cases = []
    for i, entry in enumerate(record["cases"]):
        pictures = [arrays[f"{i}/picture/{j}"] for j in range(len(entry["pictures"]))]
        outputs = {name: arrays[f"{i}/output/{name}"] for name in spec.output_names}
        views = [View(picture, box) for picture, box in zip(pictures, entry["boxes"], strict=True)]
        frames = [spec.preprocess(view.image, preprocess, **view.place())[1] for view in views]
        results = [
            decoder(row(outputs, j), frame, best=best)
            for j, (frame, best) in enumerate(zip(frames, entry["best"], strict=True))
        ]
        inputs = arrays[f"{i}/input"]
        cases.append(CaseReference(entry["name"], views, inputs, frames, outputs, results, entry["best"]))
    floor = floor_from_dict(record["noise_floor"])
    limits = limits_from_dict(record["limits"], KINDS[spec.kind].limit_type)
    return Reference(decoder, preprocess, cases, floor, limits)


def replay(onnx_path: Path) -> dict[str, Any]:
    """Compare a rejected file with the stored PyTorch results again.

    Raises:
        ArtifactError: The evidence is damaged.

    """
    before = read_record(onnx_path.with_name("parity.json"))
    with np.load(onnx_path.with_name("inputs.npz")) as arrays:
        reference = rebuild_reference(arrays, before)
    with load(onnx_path, backend="onnx") as candidate:
        comparisons = compare_file(before["seal"], reference, candidate)[0]
    return make_record(
        seal=before["seal"],
        onnx_sha256=sha256_file(onnx_path),
        legs=before["legs"],
        decided_by=before["decided_by"],
        reference=reference,
        comparisons=comparisons,
    )


def main(onnx_path: Path) -> int:
    """Replay, print, and return the exit code: 6 if it fails again."""

    @click.command()
    def command() -> None:
        record = replay(onnx_path)
        click.echo(render(record))
        if record["verdict"] != "passed":
            raise ParityFailed("it fails again")

    return run_command(command, [])
