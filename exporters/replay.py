"""Evidence of a failed comparison: kept with the rejected file, and run again by ``python replay.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from ..models.checkpoint import sha256_file
from ..models.errors import ParityFailed
from ..models.registry import get_model
from ..runtimes.console import run_command
from ..runtimes.predictor import View, load
from ..runtimes.seal import read_params
from .kinds import KINDS, Decoder
from .parity import CaseReference, Reference, compare, compare_seal, row
from .record import floor_from_dict, limits_from_dict, make_record, read_record
from .render import render

if TYPE_CHECKING:
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
    arrays: dict[str, Any] = {}
    for i, case in enumerate(reference.cases):
        arrays[f"{i}/input"] = case.inputs
        arrays |= {f"{i}/output/{name}": value for name, value in case.outputs.items()}
        arrays |= {f"{i}/picture/{j}": picture for j, picture in enumerate(view.image for view in case.views)}
    np.savez_compressed(folder / "inputs.npz", **arrays)
    (folder / "replay.py").write_text(_SCRIPT.format(name=onnx_name), encoding="utf-8")


def load_evidence(onnx_path: Path, record: dict[str, Any]) -> Reference:
    """Return the PyTorch leg as it was: its inputs and outputs as stored, its results decoded from them again."""
    sealed = record["seal"]
    spec = get_model(sealed["model"])
    preprocess_type, postprocess_type = spec.params_types
    preprocess = read_params(preprocess_type, sealed["preprocess"], "the recorded preprocessing")
    postprocess = read_params(postprocess_type, sealed["postprocess"], "the recorded postprocessing")
    decoder = Decoder(spec, postprocess, tuple(sealed["labels"]))
    cases = []
    with np.load(onnx_path.with_name("inputs.npz")) as arrays:
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
    limits = limits_from_dict(record["limits"], KINDS[spec.result].limit_type)
    return Reference(decoder, preprocess, cases, floor, limits)


def replay(onnx_path: Path) -> dict[str, Any]:
    """Compare a rejected file with the stored PyTorch results again.

    Raises:
        ArtifactError: The evidence is damaged.

    """
    before = read_record(onnx_path.with_name("parity.json"))
    reference = load_evidence(onnx_path, before)
    with load(onnx_path, backend="onnx") as candidate:
        sealed = json.loads(candidate.seal.to_json()) if candidate.seal else {}
        comparisons = compare_seal(before["seal"], sealed) + compare(reference, candidate)
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
