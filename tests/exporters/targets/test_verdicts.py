"""Findings, verdicts and reports."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError
from itertools import pairwise

import pytest

from cvport.exporters.targets.graph import Node
from cvport.exporters.targets.verdicts import FATAL, VERDICTS, Finding, NodeVerdict, Outcome, Report, judge

NODE = Node("a", "Relu", "", ("x",), ("y",))


def test_the_order_of_verdicts():
    assert VERDICTS == ("ok", "experimental", "unknown", "attribute ignored", "misread", "not registered")
    assert frozenset(VERDICTS[-2:]) == FATAL


def test_a_node_without_findings_is_ok():
    assert judge(NODE) == NodeVerdict("a", "Relu")
    assert judge(NODE).verdict == "ok"
    assert judge(NODE).to_dict()["verdict"] == "ok"


@pytest.mark.parametrize(("better", "worse"), list(pairwise(VERDICTS)))
def test_the_worst_finding_decides(better, worse):
    first, second = Finding(better, "b"), Finding(worse, "w", "9.9", "safe")
    for found in ([first, second], [second, first]):
        judged = judge(NODE, found)
        assert (judged.verdict, judged.reason, judged.mended_in, judged.safe_form) == (worse, "w", "9.9", "safe")


def test_verdicts_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        judge(NODE).node = "b"


def test_a_report_counts_nodes_and_lists_those_that_are_not_ok():
    nodes = (judge(NODE), judge(NODE), judge(NODE, [Finding("unknown", "u"), Finding("misread", "m")]))
    report = Report("a.onnx", "opencv", Outcome(nodes, (Finding("experimental", "e"),), ("run",)))
    assert report.verdict == "misread"
    assert report.counts == {"ok": 2, "misread": 1}
    content = json.loads(json.dumps(report.to_dict()))
    assert set(content) == {"schema_version", "file", "target", "verdict", "counts", "model", "nodes", "notes"}
    assert (content["schema_version"], content["file"], content["target"]) == (1, "a.onnx", "opencv")
    assert [entry["reason"] for entry in content["nodes"]] == ["m"]
    assert [entry["reason"] for entry in content["nodes"][0]["also"]] == ["u"]
    assert [entry["verdict"] for entry in content["model"]] == ["experimental"]
    assert content["notes"] == ["run"]


def test_what_is_found_about_the_file_decides_too():
    assert Report("a", "b", Outcome((judge(NODE),), (Finding("not registered", "r"),))).verdict == "not registered"
    assert Report("a", "b", Outcome(())).verdict == "ok"
