"""What a release of ONNX Runtime reads."""

from __future__ import annotations

import onnxruntime
import pytest
from onnx import TensorProto, helper

from cvport.exporters.targets import onnxruntime as module
from cvport.exporters.targets.tables import read_table
from helpers.small_files import node

RELEASE = "1.19"


@pytest.fixture
def outcome(read):
    """The outcome for 1.19 of a file."""
    return lambda nodes, **options: module.check(read(nodes, **options), RELEASE)


@pytest.fixture
def installed(monkeypatch):
    """Pretend that the installed release is the one that is asked for."""
    monkeypatch.setattr(onnxruntime, "__version__", "1.19.7")


def test_the_table():
    row = read_table("onnxruntime.json")["releases"][RELEASE]
    assert (row["opset"], row["ai.onnx.ml"], row["ir_version"]) == (21, 4, 10)
    assert row["runs"][""]["Relu"] == [6, 13, 14]
    assert row["cannot_run"][""]["DeformConv"] == [19]
    assert "Gelu" in row["runs"]["com.microsoft"]


@pytest.mark.parametrize(
    ("operator", "opset", "expected"),
    [
        ("Relu", 7, "ok"),
        ("Relu", 21, "ok"),
        ("Relu", 22, "not registered"),
        ("Gelu", 19, "not registered"),
        ("Gelu", 20, "ok"),
        ("Mish", 18, "ok"),  # a function of other operators
        ("GroupNormalization", 18, "ok"),
        ("DeformConv", 18, "not registered"),
        ("DeformConv", 19, "not registered"),
        ("Nothing", 18, "not registered"),
        ("Constant", 18, "ok"),
        ("Upsample", 9, "ok"),
        ("Upsample", 10, "not registered"),
    ],
)
def test_operators_by_opset(outcome, operator, opset, expected):
    (found,) = outcome(node(operator), opset=opset).nodes
    assert found.verdict == expected
    assert bool(found.reason) == (expected != "ok")


def test_the_reason_of_an_opset_that_is_too_new(outcome):
    (found,) = outcome(node("Relu"), opset=22).nodes
    assert found.reason == "opset 22: 1.19 reads up to 21"
    assert found.safe_form == "opset 21 or older"
    assert found.worst.source.startswith("microsoft/onnxruntime@109c0baa9367 ")


def test_old_opsets_are_read_without_a_promise(outcome):
    found = outcome(node("Relu"), opset=6)
    assert [entry.verdict for entry in found.findings] == ["experimental"]
    assert found.nodes[0].verdict == "ok"


@pytest.mark.parametrize(("ir_version", "expected"), [(3, []), (10, []), (11, ["not registered"])])
def test_ir_versions(outcome, ir_version, expected):
    assert [entry.verdict for entry in outcome(node("Relu"), ir_version=ir_version).findings] == expected


@pytest.mark.parametrize(
    ("operator", "domain", "version", "expected"),
    [
        ("Gelu", "com.microsoft", 1, "ok"),
        ("Nothing", "com.microsoft", 1, "not registered"),
        ("GroupNorm", "com.microsoft", 1, "not registered"),  # on other devices alone
        ("Scaler", "ai.onnx.ml", 3, "ok"),
        ("Anything", "mine", 1, "not registered"),
    ],
)
def test_operators_of_other_domains(outcome, operator, domain, version, expected):
    looked = node(operator, domain=domain)
    assert outcome(looked, opsets=[("", 18), (domain, version)]).nodes[0].verdict == expected
    assert outcome(looked).nodes[0].verdict == "not registered", "the file does not ask for the domain"


@pytest.mark.parametrize(("version", "used", "expected"), [(4, True, []), (5, False, ["experimental"])])
def test_opsets_of_machine_learning(outcome, version, used, expected):
    looked = node("Scaler", domain="ai.onnx.ml") if used else node("Relu")
    found = outcome(looked, opsets=[("", 18), ("ai.onnx.ml", version)])
    assert [entry.verdict for entry in found.findings] == expected


def test_names_have_to_differ_within_a_graph(outcome):
    """Seen with 1.19.2 and with newer ones."""
    nodes = [node("Relu", outputs=("a",), name="same"), node("Nothing", "a", name="same")]
    found = outcome(nodes)
    assert [entry.verdict for entry in found.findings] == ["not registered"]
    assert found.findings[0].reason == "several nodes of one graph are called same: the file is refused"
    assert [entry.verdict for entry in found.nodes] == ["ok", "not registered"]
    unnamed = [node("Relu", outputs=("a",), name=""), node("Relu", "a", name="")]
    assert outcome(unnamed).findings == ()


def test_functions_of_the_file_are_unknown(outcome):
    body = helper.make_function("mine", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], [])
    looked = node("Twice", domain="mine")
    assert outcome(looked, opsets=[("", 18), ("mine", 1)], functions=[body]).nodes[0].verdict == "unknown"


def test_another_release_opens_no_session(outcome, monkeypatch):
    monkeypatch.setattr(onnxruntime, "__version__", "1.20.0")
    monkeypatch.setattr(module, "OnnxBackend", lambda _path: pytest.fail("a session was opened"))
    (note,) = outcome(node("Relu")).notes
    assert note == "onnxruntime 1.19 is not installed (1.20.0 is): no session was opened, the table decides"


@pytest.mark.usefixtures("installed")
def test_the_release_itself_opens_the_file(outcome):
    found = outcome(node("Relu"))
    assert found.notes == ("onnxruntime 1.19.7 opened the file",)
    assert found.nodes[0].verdict == "ok"


@pytest.mark.usefixtures("installed")
def test_what_only_the_session_sees_is_about_the_node_that_it_names(outcome):
    """The table knows no types: of integers there is no Sigmoid."""
    nodes = [node("Cast", outputs=("i",), name="cast", to=TensorProto.INT64), node("Sigmoid", "i", name="wrong")]
    found = outcome(nodes)
    assert [(entry.node, entry.verdict) for entry in found.nodes] == [("cast", "ok"), ("wrong", "not registered")]
    assert "Sigmoid" in found.nodes[1].reason
    assert found.findings == ()


@pytest.mark.usefixtures("installed")
def test_what_the_session_says_without_a_name_is_about_the_file(outcome):
    found = outcome([node("Relu", "nothing", outputs=("y",), name="")])
    assert [entry.verdict for entry in found.findings] == ["not registered"]


@pytest.mark.usefixtures("installed")
def test_what_the_table_knows_is_not_told_twice(outcome):
    found = outcome(node("Nothing"))
    assert found.findings == ()
    assert len(found.nodes[0].findings) == 1
    assert found.notes == ("onnxruntime 1.19.7 did not open the file",)
