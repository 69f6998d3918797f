"""The command line of a search."""

from __future__ import annotations

import json

import pytest

from cvport.exporters.commands.cvexport import cvexport
from cvport.runtimes.commands.console import run_command


@pytest.fixture
def files(small, tmp_path):
    right, wrong = tmp_path / "right.onnx", tmp_path / "wrong.onnx"
    right.write_bytes(small.onnx)
    wrong.write_bytes(small.with_weights("head.cls_preds.2.weight", lambda value: value * 1.02))
    return right, wrong


def test_same_is_0_and_parting_is_6(files, tmp_path, capsys):
    right, wrong = files
    assert run_command(cvexport, ["bisect", str(right), "--against", "onnx:unoptimised", "-q"]) == 0
    assert capsys.readouterr().out.startswith("same: ")
    arguments = ["bisect", str(wrong), "--against", str(right), "-o", str(tmp_path / "found"), "-q"]
    assert run_command(cvexport, arguments) == 6
    printed = capsys.readouterr()
    assert "first at Conv node_" in printed.out
    assert "introduced" in printed.out
    assert "replay.py" in printed.out
    assert "part: node_" in printed.err
    assert "Traceback" not in printed.err


def test_json(files, tmp_path, capsys):
    right, wrong = files
    arguments = ["bisect", str(wrong), "--against", str(right), "-o", str(tmp_path / "found"), "--json", "-q"]
    assert run_command(cvexport, arguments) == 6
    content = json.loads(capsys.readouterr().out)
    assert content["first"]["op_type"] == "Conv"
    assert (tmp_path / "found").samefile(tmp_path / "found")
    assert content["folder"].startswith(str(tmp_path / "found"))


def test_bad_input_has_its_code(files, tmp_path):
    right, _ = files
    for arguments, code in (
        ([str(tmp_path / "none.onnx"), "--against", "onnx:unoptimised"], 4),
        ([str(right)], 4),
        ([str(right), "--against", "gpu"], 2),
        ([str(right), "--against", str(tmp_path / "none.npz")], 4),
        ([str(right), "--weights", str(tmp_path / "none.pth")], 4),
    ):
        assert run_command(cvexport, ["bisect", *arguments, "-q"]) == code, arguments


def test_a_folder_that_cannot_be_written(files, tmp_path, capsys):
    right, wrong = files
    (tmp_path / "taken").write_text("")
    arguments = ["bisect", str(wrong), "--against", str(right), "-o", str(tmp_path / "taken"), "-q"]
    assert run_command(cvexport, arguments) == 4
    assert "cannot write" in capsys.readouterr().err
