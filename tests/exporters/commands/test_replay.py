"""Replaying a rejected export: from the command, and by the scripts that lie beside the evidence."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from onnx import TensorProto, helper

from cvport.errors import ArtifactError, ParityFailed
from cvport.exporters.bisect.kept import _REPLAY
from cvport.exporters.commands.cvexport import cvexport
from cvport.exporters.gate.probes import built_in_cases
from cvport.exporters.gate.reference import make_reference
from cvport.exporters.replay import save_evidence
from cvport.exporters.report.record import make_record
from cvport.runtimes.commands.console import run_command

PLANTED = ("numpy", "onnxruntime", "pathlib", "click", "json", "os", "cv2")


def fill(folder, small, data):
    """Write a file with its record and evidence into a folder, as a rejected export leaves them."""
    cases = built_in_cases("dynamic")[:2]
    reference = make_reference(small.spec, small.plan, small.network, cases, untrained=True, tolerances=())
    record = make_record(small.verification(folder, data, reference), "0" * 64, small.plan.decided_by)
    (folder / "parity.json").write_text(record.to_json())
    save_evidence(folder, "yolox.onnx", reference)
    return record.verdict


@pytest.fixture
def rejected(small, tmp_path):
    folder = tmp_path / "rejected"
    folder.mkdir()
    wrong = small.with_weights("head.obj_preds.0.weight", lambda value: value * 1.02)
    assert fill(folder, small, wrong) == "failed"
    return folder


def plant(folder):
    """Put modules beside a script that tell if they are imported, among them a package cvport."""
    (folder / "cvport").mkdir()
    places = [folder / f"{name}.py" for name in PLANTED]
    for place in (*places, folder / "cvport/__init__.py"):
        place.write_text(f"open({str(folder / 'imported')!r}, 'a').write(__name__)\nraise SystemExit(99)\n")


def run_script(folder, *flags):
    script = [sys.executable, *flags, str(folder / "replay.py")]
    return subprocess.run(script, capture_output=True, text=True, check=False, cwd=folder)


def test_command_says_what_the_script_says(rejected, capsys):
    assert run_command(cvexport, ["replay", str(rejected)]) == ParityFailed.exit_code
    printed = capsys.readouterr()
    assert "it fails again" in printed.err
    assert "obj_0" in printed.err
    assert run_command(cvexport, ["replay", str(rejected), "--json"]) == ParityFailed.exit_code
    assert json.loads(capsys.readouterr().out)["verdict"] == "failed"
    plant(rejected)
    done = run_script(rejected)
    assert done.returncode == ParityFailed.exit_code, done.stderr
    assert done.stdout == printed.out
    assert not (rejected / "imported").exists()


def test_what_does_not_fail_again_is_0(small, tmp_path, capsys):
    assert fill(tmp_path, small, small.onnx) == "passed"
    code = run_command(cvexport, ["replay", str(tmp_path)])
    assert code == 0, capsys.readouterr().out


def test_folders_that_are_none_of_a_rejected_export(rejected, tmp_path, capsys):
    (rejected / "inputs.npz").unlink()
    for path in (rejected, rejected / "yolox.onnx", tmp_path / "nowhere", tmp_path):
        assert run_command(cvexport, ["replay", str(path)]) == ArtifactError.exit_code
        assert "is no folder of a rejected export" in capsys.readouterr().err


def test_script_of_a_search_imports_nothing_beside_it(tmp_path):
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", [value], [out])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    (tmp_path / "operator.onnx").write_bytes(model.SerializeToString())
    x = np.ones(2, np.float32)
    np.savez(tmp_path / "values.npz", **{"input/x": x, "output/y": x, "limit": np.array(1e-6)})
    (tmp_path / "replay.py").write_text(_REPLAY)
    plant(tmp_path)
    for flags in ((), ("-I",)):
        done = run_script(tmp_path, *flags)
        assert (done.returncode, done.stdout) == (6, "y: differs by 2, limit 1e-06\n"), done.stderr
    assert not (tmp_path / "imported").exists()
