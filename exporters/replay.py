"""Evidence of a failed comparison: kept with the rejected file, and run again by ``python replay.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from ..errors import ArtifactError, ParityFailed
from ..models.weights.digest import sha256_file
from ..runtimes.commands.console import run_command
from ..runtimes.seal import Seal, read_seal
from .gate.evidence import evidence_arrays, rebuild_reference
from .gate.legs import LEGS, LegRun, Subject
from .gate.stored import read_arrays, told_as_damage
from .gate.verify import verify
from .report.record import Record, comparison_of, make_record, read_record
from .report.text import render

if TYPE_CHECKING:
    from .gate.reference import Reference

_SCRIPT = '''"""Run the failed comparison again: the stored inputs and PyTorch outputs against {name}.

Needs cvport and its base install; PyTorch is not needed. Exit code 6 if it fails as it did. The same, without running
this script: cvexport replay DIR
"""

import sys

if not sys.flags.safe_path:
    del sys.path[0]  # this folder: a numpy.py that somebody put here must not be imported

from pathlib import Path

from cvport.exporters.replay import main

sys.exit(main(Path(__file__).parent / "{name}"))
'''


_NO_NETWORK = "it builds on the network"


def save_evidence(folder: Path, onnx_name: str, reference: Reference) -> None:
    """Write the images, network inputs and PyTorch outputs of every case, and the script that uses them."""
    np.savez_compressed(folder / "inputs.npz", **evidence_arrays(reference))
    (folder / "replay.py").write_bytes(_SCRIPT.format(name=onnx_name).encode())


def replay(onnx_path: Path) -> Record:
    """Compare a rejected file with the stored PyTorch results again; legs that built on the network do not run.

    Raises:
        ArtifactError: The evidence is damaged.

    """
    before = read_record(onnx_path.with_name("parity.json"))
    sealed = json.loads(read_seal(onnx_path).to_json())
    digest = sha256_file(onnx_path)
    stored = onnx_path.with_name("inputs.npz")
    if not stored.exists():
        raise ArtifactError(f"no such file: {stored}", "Only folders of rejected exports can be replayed.")
    with told_as_damage(f"the evidence in {onnx_path.parent}", "Export the model again: cvexport MODEL"):
        Seal.from_json(json.dumps(before.seal), "the recorded seal")
        reference = rebuild_reference(read_arrays(stored), before.to_dict(), before.seal)
        subject = Subject(reference, file=onnx_path)
        runs = [leg.run(leg, subject) if leg.needed else LegRun(leg, "not run", _NO_NETWORK) for leg in LEGS]
        # What the file consists of was compared with the network, which is not here; it holds for the same bytes.
        kept = [comparison_of(entry) for entry in before.comparisons if entry.tier == "structure"]
        structure = kept if digest == before.onnx_sha256 else []
        return make_record(verify(before.seal, sealed, subject, runs, structure), digest, before.decided_by)


def main(onnx_path: Path) -> int:
    """Replay, print, and return the exit code: 6 if it fails again."""

    @click.command()
    def command() -> None:
        record = replay(onnx_path)
        click.echo(render(record, verbose=True))
        if record.verdict != "passed":
            raise ParityFailed("it fails again")

    return run_command(command, [])
