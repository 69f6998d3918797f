"""How a node is looked up in CANN's tables, and what is said about a file as a whole."""

from __future__ import annotations

import json

import numpy as np
import pytest
from onnx import helper

from cvport.exporters.targets import cann
from cvport.exporters.targets.check import check_file
from cvport.exporters.targets.tables import in_spans, read_table
from helpers.shared import ground_truth
from helpers.small_files import graph_of, node

TABLE = read_table("cann.json")
RELEASES = list(TABLE["releases"])
BETA_1, BETA_2 = "9.2.0-beta.1", "9.2.0-beta.2 (branch)"


@pytest.fixture
def verdict(read):
    """The verdict on the last node of a file, for a release."""

    def verdict(release, nodes, **options):
        return cann.check(read(nodes, **options), release).nodes[-1]

    return verdict


@pytest.fixture
def about(read):
    """What is found about a file as a whole, as (verdict, reason)."""

    def about(release, nodes, **options):
        found = cann.check(read(nodes, **options), release).findings
        return [(entry.verdict, entry.reason) for entry in found]

    return about


# --- the table


def test_the_table_says_what_its_source_says():
    """Made from cann_onnx.json, which holds every opset of every operator in every release."""
    source = json.loads(ground_truth("reference/cann_onnx.json").read_text())
    assert list(source["releases"]) == RELEASES
    for number, (release, content) in enumerate(source["releases"].items()):
        assert set(content["operators"]) | set(content["not_in_open_repos_at_this_tag_but_later"]) == set(
            TABLE["operators"]
        )
        for operator, since in TABLE["operators"].items():
            spans = [opsets for first, opsets in since.items() if RELEASES.index(first) <= number]
            opsets = [opset for opset in range(30) if spans and in_spans(opset, spans[-1])]
            assert opsets == content["operators"].get(operator, []), (release, operator)
        commits = {name.partition(" ")[0]: entry["commit"] for name, entry in content["commits"].items()}
        assert commits == TABLE["releases"][release]["commits"]


def test_every_source_is_a_repository_at_a_commit():
    sources = [trap["source"] for trap in TABLE["traps"]]
    sources += [TABLE["one_opset_import"]["source"], TABLE["open_sides"]["source"]]
    for source in sources:
        commit = TABLE["releases"][source["release"]]["commits"][source["repository"]]
        assert len(commit) == 40
        assert source["file"].partition(":")[0].endswith((".cpp", ".cc", ".h"))


def test_operators_that_the_words_name_are_in_the_table():
    listed = set(TABLE["operators"])
    assert set(TABLE["looked_at"]) <= listed | set(TABLE["core"])
    assert {operator for trap in TABLE["traps"] for operator in trap["operators"]} <= listed | set(TABLE["core"])


# --- looking a node up


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("opset", [13, 18])
def test_what_is_registered_and_has_no_trap_is_ok(verdict, release, opset):
    for operator in ("Relu", "Sigmoid", "GlobalAveragePool", "Identity"):
        assert verdict(release, node(operator), opset=opset).verdict == "ok"


@pytest.mark.parametrize("operator", ["Conv", "Gemm", "LayerNormalization", "MaxPool", "AveragePool", "ConvTranspose"])
def test_closed_plugins_are_unknown_until_their_source_is_open(verdict, operator):
    weight = {"w": np.zeros((4, 4, 3, 3), np.float32)}
    looked = node(operator, "x", "w", kernel_shape=[3, 3])
    for release in RELEASES:
        found = verdict(release, looked, constants=weight)
        if RELEASES.index(release) < RELEASES.index(BETA_1):
            assert found.verdict == "unknown"
            assert found.reason.startswith("its plugin is in no open source before 9.2.0-beta.1")
        else:
            assert found.verdict == "ok"


def test_suppression_is_unknown_in_the_first_release_alone(verdict):
    verdicts = [verdict(release, node("NonMaxSuppression", "x", "x")).verdict for release in RELEASES]
    assert verdicts == ["unknown", *["ok"] * 6]


@pytest.mark.parametrize(
    "operator", ["GroupNormalization", "Gelu", "Loop", "Scan", "QuantizeLinear", "DequantizeLinear", "DeformConv"]
)
@pytest.mark.parametrize("release", ["8.5.0", "9.1.0", "master"])
def test_what_no_release_registers(verdict, operator, release):
    found = verdict(release, node(operator))
    assert (found.verdict, found.reason) == ("not registered", "it is registered in no release (E16002)")
    assert found.safe_form


@pytest.mark.parametrize("operator", ["ReduceL1", "ReduceL2"])
@pytest.mark.parametrize("release", RELEASES)
def test_norms_end_at_opset_17(verdict, operator, release):
    found = verdict(release, node(operator, axes=[2, 3]), opset=17)
    assert found.verdict == "ok"
    found = verdict(release, node(operator, "x", "a"), constants={"a": np.array([2, 3])})
    assert (found.verdict, found.reason) == ("not registered", "it is registered at opset 8-17, not at 18 (E16002)")
    assert found.safe_form


@pytest.mark.parametrize(
    ("operator", "opset", "expected"),
    [
        ("Upsample", 9, "ok"),
        ("Upsample", 10, "not registered"),
        ("Upsample", 17, "not registered"),
        ("Mish", 17, "not registered"),
        ("Mish", 18, "ok"),
        ("Relu", 7, "not registered"),
    ],
)
def test_opsets_have_gaps(verdict, operator, opset, expected):
    assert verdict("9.1.0", node(operator), opset=opset).verdict == expected


def test_a_later_release_that_registers_it_is_named(verdict):
    assert verdict("9.1.0", node("ScatterND", "x", "x", "x"), opset=9).mended_in == BETA_2


@pytest.mark.parametrize("release", RELEASES)
def test_opsets_beyond_the_newest(verdict, release):
    for operator in ("Relu", "Conv", "Gelu"):
        found = verdict(release, node(operator), opset=19)
        assert (found.verdict, found.safe_form) == ("not registered", "opset 18")
    assert verdict(release, node("Constant", value_float=1.0), opset=19).verdict == "ok", "of the core parser"


def test_what_was_not_looked_at_is_not_ok(verdict):
    found = verdict("master", node("LSTM"))
    assert found.verdict == "unknown"
    assert "not looked at" in found.reason


def test_other_domains(verdict, read):
    opsets = [("", 18), ("com.microsoft", 1), ("npu", 1)]
    found = verdict("master", node("Gelu", domain="com.microsoft"), opsets=opsets)
    assert (found.verdict, found.op_type) == ("not registered", "com.microsoft.Gelu")
    assert verdict("master", node("NPUMish", domain="npu"), opsets=opsets).verdict == "unknown"
    assert verdict("master", node("Relu", domain="ai.onnx")).verdict == "ok", "ONNX's own name of its domain"
    assert verdict("master", node("Relu"), opsets=[("mine", 1)]).verdict == "not registered", "no opset of it"


def test_functions_of_the_file_are_unknown(verdict):
    body = helper.make_function("mine", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], [])
    opsets = [("", 18), ("mine", 1)]
    found = verdict("master", node("Twice", domain="mine"), opsets=opsets, functions=[body])
    assert found.verdict == "unknown"


def test_nodes_of_subgraphs_are_looked_at_too(read):
    inner = [node("Split", axis=1, num_outputs=2, outputs=("a", "b"), name="inner"), node("Identity", "a", name="")]
    bodies = {key: graph_of(inner, inputs={}, name=key) for key in ("then_branch", "else_branch")}
    nodes = [node("Cast", outputs=("c",), to=9, name="cast"), node("If", "c", name="choice", **bodies)]
    outcome = cann.check(read(nodes), "9.1.0")
    assert [(entry.node, entry.verdict) for entry in outcome.nodes] == [
        ("cast", "ok"),
        ("choice", "ok"),
        ("choice/else_branch/inner", "misread"),
        ("choice/else_branch/Identity_1", "ok"),
        ("choice/then_branch/inner", "misread"),
        ("choice/then_branch/Identity_1", "ok"),
    ]


# --- the file as a whole


def test_a_plain_file_has_no_finding(about):
    assert about("8.5.0", node("Relu")) == []


def test_a_second_opset_import_is_refused_until_it_is_mended(read):
    graph = read(node("Relu"), opsets=[("", 18), ("ai.onnx.ml", 3)])
    for release in RELEASES:
        found = cann.check(graph, release).findings
        if RELEASES.index(release) <= RELEASES.index(BETA_1):
            assert [(entry.verdict, entry.mended_in) for entry in found] == [("not registered", BETA_2)]
            assert "ai.onnx 18, ai.onnx.ml 3" in found[0].reason
        else:
            assert found == ()


def test_open_sides_name_the_option(read):
    graph = read(node("Relu"), inputs={"x": ("batch", 3, "height", 8)})
    (found,) = cann.check(graph, "9.1.0").findings
    assert found.verdict == "unknown"
    assert '--input_shape="x:1,3,height,8"' in found.safe_form
    assert "E10001" in found.reason


def test_shapes_that_are_not_there_are_open(read):
    (found,) = cann.check(read(node("Relu"), inputs={"x": None}), "9.1.0").findings
    assert '--input_shape="x:..."' in found.safe_form


def test_names_of_nodes(about):
    nodes = [node("Relu", outputs=("a",), name="same"), node("Relu", "a", outputs=("b",), name="same")]
    nodes += [node("Relu", "b", outputs=("c",), name=""), node("Relu", "c", name="")]
    unnamed, repeated = about("9.1.0", nodes)
    assert unnamed == ("unknown", "2 nodes have no name; what the parser calls them is not known")
    assert repeated == ("unknown", "several nodes are called same; what becomes of them is not known")


def test_newer_ir_versions_are_told(about):
    assert about("9.1.0", node("Relu"), ir_version=8) == []
    ((verdict, reason),) = about("9.1.0", node("Relu"), ir_version=9)
    assert verdict == "unknown"
    assert reason.startswith("IR version 9 is newer than 8")


# --- files of ours


def test_an_open_batch_has_no_node_that_is_misread(nano_artifact):
    for target in ("cann-8.5", "cann-9.0", "cann-9.1", "cann-9.2-beta.1", "cann-master"):
        report = check_file(nano_artifact.onnx, target)
        assert report.verdict == "unknown"
        assert set(report.counts) <= {"ok", "unknown"}


def test_a_fixed_batch_has_no_such_size(nano_batch_2):
    report = check_file(nano_batch_2.onnx, "cann-master")
    assert report.counts == {"ok": len(report.outcome.nodes)}
    assert len(report.outcome.nodes) > 300
    report = check_file(nano_batch_2.onnx, "cann-9.1")
    assert set(report.counts) == {"ok", "unknown"}
    unknown = {entry.op_type for entry in report.outcome.nodes if entry.verdict == "unknown"}
    assert unknown == {"Conv", "MaxPool"}
