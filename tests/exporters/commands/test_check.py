"""``cvexport check``: what it prints, and with which code it ends."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from cvport.exporters.commands.cvexport import cvexport
from cvport.runtimes.commands.console import run_command
from helpers.small_files import node, write_file


@pytest.fixture
def cli(capsys):
    """Run the command; return its exit code, its lines, what it says on stderr."""

    def run(path, target, *more):
        code = run_command(cvexport, ["check", str(path), "--for", target, *more])
        captured = capsys.readouterr()
        return code, captured.out.splitlines(), captured.err

    return run


@pytest.fixture
def reductions(tmp_path):
    """Five nodes that 9.1.0 misreads, one that it does not have, one that is right."""
    nodes = [node("ReduceMean", "x", "a", outputs=(f"m{n}",), name=f"mean_{n}", keepdims=1) for n in range(5)]
    nodes += [node("Gelu", outputs=("g",), name="gelu"), node("Relu", name="relu")]
    return write_file(tmp_path / "reductions.onnx", nodes, constants={"a": np.array([2, 3])})


def test_a_file_that_is_read_rightly(cli, tmp_path):
    path = write_file(tmp_path / "a.onnx", node("Relu"))
    code, lines, said = cli(path, "cann-9.1")
    assert (code, said) == (0, "")
    assert lines[0] == "1 nodes: 1 ok"
    assert lines[1].startswith("note: no CANN was run")
    assert lines[2:] == ["ok for cann-9.1"]


def test_a_line_for_each_kind_of_finding(cli, reductions):
    code, lines, said = cli(reductions, "cann-9.1")
    assert code == 4
    assert lines[0] == "7 nodes: 1 ok, 5 misread, 1 not registered"
    assert lines[1].startswith("  not registered  1 Gelu (gelu): it is registered in no release")
    assert lines[2].startswith("  misread         5 ReduceMean (mean_0, mean_1, mean_2 and 2 more): axes are read")
    assert "; mended in 9.2.0-beta.2 (branch); safe: GlobalAveragePool" in lines[2]
    assert len(lines) == 5
    assert lines[-1] == "not registered for cann-9.1"
    error, hint = said.splitlines()
    assert error.startswith(
        f"error: cann-9.1 cannot read {reductions} rightly: ReduceMean mean_0, and 5 more nodes: axes"
    )
    assert hint.startswith("  Write in its place: GlobalAveragePool")
    assert hint.endswith("Or use 9.2.0-beta.2 (branch), which reads it.")


def test_json(cli, reductions):
    code, lines, _ = cli(reductions, "cann-9.0.1", "--json")
    content = json.loads("\n".join(lines))
    assert code == 4
    assert content["schema_version"] == 1
    assert content["file"] == str(reductions)
    assert content["target"] == "cann-9.0"
    assert content["verdict"] == "not registered"
    assert content["counts"] == {"ok": 1, "misread": 5, "not registered": 1}
    assert [entry["node"] for entry in content["nodes"]] == [*(f"mean_{n}" for n in range(5)), "gelu"]
    first = content["nodes"][0]
    assert first["op_type"] == "ReduceMean"
    assert first["verdict"] == "misread"
    assert first["mended_in"] == "9.2.0-beta.2 (branch)"
    assert first["reason"]
    assert first["safe_form"]
    assert first["source"].startswith("hicann/ops-math@c821871ee4bc ")
    assert content["model"] == []


@pytest.mark.parametrize(
    ("looked", "verdict"),
    [
        (node("LSTM"), "unknown"),
        (node("Resize", "x", "", "s", mode="nearest"), "attribute ignored"),
    ],
)
def test_warnings_end_with_0(cli, tmp_path, looked, verdict):
    path = write_file(tmp_path / "a.onnx", looked, constants={"s": np.float32([1, 1, 2, 2])})
    code, lines, said = cli(path, "cann-9.1")
    assert (code, said) == (0, "")
    assert lines[-1] == f"{verdict} for cann-9.1: a warning, nothing is known to be misread"


def test_what_is_wrong_with_the_file_as_a_whole_ends_with_4(cli, tmp_path):
    path = write_file(tmp_path / "a.onnx", node("Relu"), ir_version=11)
    code, lines, said = cli(path, "onnxruntime-1.19")
    assert code == 4
    assert lines[1].startswith("  not registered  the file: IR version 11: 1.19 reads up to 10")
    assert "the file as a whole: IR version 11" in said


def test_names_cannot_break_the_lines(cli, tmp_path):
    path = write_file(tmp_path / "a.onnx", node("Gelu", name="two\nlines\x1b[31m"))
    _, lines, said = cli(path, "cann-9.1")
    assert "two\\u000alines\\u001b[31m" in lines[1]
    assert "\x1b" not in said


def test_bad_input(cli, tmp_path):
    path = write_file(tmp_path / "a.onnx", node("Relu"))
    code, _, said = cli(path, "cann-8.4")
    assert code == 2
    assert "there is no target 'cann-8.4'" in said
    assert "Did you mean 'cann-8.5'?" in said
    code, _, said = cli(tmp_path / "nothing.onnx", "cann-8.5")
    assert (code, "no such file" in said) == (4, True)
    path.write_bytes(path.read_bytes()[:-3])
    code, _, said = cli(path, "opencv")
    assert (code, "cut short or damaged" in said) == (4, True)
    assert run_command(cvexport, ["check", str(path)]) == 2


def test_a_package_that_is_not_installed_ends_with_5(cli, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    code, lines, said = cli(write_file(tmp_path / "a.onnx", node("Relu")), "openvino")
    assert (code, lines) == (5, [])
    assert "OpenVINO cannot be imported" in said
    assert "pip install openvino" in said


def test_all_targets_are_in_the_help(capsys):
    assert run_command(cvexport, ["check", "--help"]) == 0
    said = capsys.readouterr().out
    for name in ("cann-8.5", "cann-9.0", "cann-9.1", "cann-9.2-beta.1", "cann-master", "onnxruntime-1.19", "opencv"):
        assert name in said
