"""The bill of materials: by the official schema, with the facts of the file, the same bytes for the same file."""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import replace

import pytest

from cvport.exporters.report.record import read_record
from cvport.exporters.sbom import describe_materials, materials_of, read_materials
from cvport.models.weights.digest import sha256_file
from cvport.models.yolox.spec import SPEC


@pytest.fixture(scope="module")
def record(nano_artifact):
    return read_record(nano_artifact.onnx.with_name("parity.json"))


@pytest.fixture
def describe(nano_artifact, record):
    """Describe the exported file, as if its seal and its record said something else."""

    def describe(seal=None, weights=None, **changes):
        weights = {**record.seal["weights"], **(weights or {})}
        changed = replace(record, seal={**record.seal, **(seal or {}), "weights": weights}, **changes)
        return describe_materials(nano_artifact.onnx, changed, SPEC)

    return describe


def limitations(text):
    return json.loads(text)["components"][0]["modelCard"].get("considerations", {}).get("technicalLimitations", [])


def test_what_the_file_is(nano_artifact, describe, record):
    bill = json.loads(describe())
    digest = sha256_file(nano_artifact.onnx)
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.6", 1)
    assert bill["metadata"]["timestamp"] == record.created
    subject, model = bill["metadata"]["component"], bill["components"][0]
    assert (subject["name"], subject["hashes"]) == ("yolox.onnx", [{"alg": "SHA-256", "content": digest}])
    assert (model["type"], model["name"]) == ("machine-learning-model", "yolox")
    assert model["hashes"] == subject["hashes"]
    assert model["version"] == sha256_file(nano_artifact.weights)
    (weights,) = model["components"]
    assert (weights["name"], weights["hashes"][0]["content"]) == ("nano.pth", model["version"])
    assert {entry["name"]: entry["value"] for entry in model["properties"]} == {
        "cvport:opset": "18",
        "cvport:batch": "dynamic",
        "cvport:labels": "class_0, class_1, class_2",
        "cvport:untrained": "false",
        "cvport:origin": "nano.pth",
    }
    card = model["modelCard"]["modelParameters"]
    assert card["task"] == "detections"
    assert card["inputs"] == [{"format": "input: float32 (batch, 3, 160, 160)"}]
    assert len(card["outputs"]) == 9
    assert card["outputs"][4] == {"format": "reg_1: float32 (batch, 4, 10, 10)"}


def test_what_made_it(describe, record):
    tools = {entry["name"]: entry for entry in json.loads(describe())["components"][1:]}
    assert {name: entry["version"] for name, entry in tools.items()} == record.seal["tools"]
    assert list(tools) == ["cvport", "onnx", "onnxscript", "onnxsim", "torch"]
    assert {entry["scope"] for entry in tools.values()} == {"excluded"}
    assert tools["onnx"]["licenses"] == [{"expression": "Apache-2.0"}]
    assert tools["onnx"]["purl"] == f"pkg:pypi/onnx@{tools['onnx']['version']}"
    assert "+" not in tools["torch"]["purl"], "a local version is escaped"


def test_what_is_not_known_is_left_out(describe, record):
    other = describe(seal={"tools": {**record.seal["tools"], "onnx": "0.1", "model": "cvport_shapes 1.2"}})
    tools = {entry["name"]: entry for entry in json.loads(other)["components"][1:]}
    assert "licenses" not in tools["onnx"], "those of another version may differ"
    assert "model" not in tools
    assert tools["cvport_shapes"]["version"] == "1.2"
    assert tools["cvport_shapes"]["purl"] == "pkg:pypi/cvport-shapes@1.2"


def test_weights_that_are_not_what_they_seem(describe):
    assert limitations(describe()) == []
    (told,) = limitations(describe(weights={"untrained": True}))
    assert "untrained" in told
    guesses = ["preprocess megvii (Megvii wrapping)"]
    assert limitations(describe(weights={"assumed": guesses})) == [
        "Assumed, as the weights do not tell: preprocess megvii (Megvii wrapping)."
    ]


def test_the_same_file_and_time_give_the_same_bytes(nano_artifact, describe):
    assert describe().encode() == nano_artifact.onnx.with_name("sbom.cdx.json").read_bytes()
    other = json.loads(describe(onnx_sha256="0" * 64))["serialNumber"]
    number = uuid.UUID(other)
    assert other == number.urn
    assert number.version == 5
    assert other != json.loads(describe())["serialNumber"]


def test_what_is_read_is_what_was_written(nano_artifact, record, tmp_path):
    read = read_materials(nano_artifact.onnx.with_name("sbom.cdx.json"))
    assert read == materials_of(record.seal, record.onnx_sha256)
    assert read_materials(tmp_path / "none") is None


def test_it_is_valid_by_the_official_schema(describe, record):
    validation = pytest.importorskip("cyclonedx.validation.json", reason="the schema is in cyclonedx-python-lib")
    from cyclonedx.schema import SchemaVersion

    validator = validation.JsonStrictValidator(SchemaVersion.V1_6)
    guesses = {"untrained": True, "assumed": ["a", "b"]}
    for text in (
        describe(),
        describe(weights=guesses),
        describe(seal={"tools": {**record.seal["tools"], "model": "other 1.2"}, "batch": 4, "labels": []}),
    ):
        assert validator.validate_str(text) is None
        bill = json.loads(text)
        refs = [entry["bom-ref"] for entry in (bill["metadata"]["component"], *bill["components"])]
        assert len(set(refs)) == len(refs)
        assert {entry["ref"] for entry in bill["dependencies"]} <= {*refs, "weights"}
    assert validator.validate_str(text.replace('"library"', '"books"')) is not None


def test_nothing_of_this_machine_is_in_it(nano_artifact, describe):
    for word in (str(nano_artifact.onnx.parent.parent), os.path.expanduser("~"), os.uname().nodename):  # noqa: PTH111
        assert word not in describe()
