"""parity.json: described by its schema, read back as it was, version 1 too."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files

import jsonschema
import pytest

from cvport import ArtifactError
from cvport.exporters.gate.legs import LEGS
from cvport.exporters.report.record import Record, read_record

SCHEMA = json.loads(files("cvport.exporters.report").joinpath("parity.schema.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def record(small, tmp_path_factory):
    return small.verify(tmp_path_factory.mktemp("record"))


def check(content):
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(json.dumps(content)))


def test_the_schema_is_valid_and_describes_a_record(record):
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    check(record)


def test_the_schema_describes_legs_of_a_device(npu, small, tmp_path):
    check(small.verify(tmp_path, legs=("torch", "onnx", "npu")))


def test_the_schema_refuses_what_is_no_record(record):
    def broken(**changes):
        return {**record, **changes}

    entry = record["comparisons"][0]
    for content in (
        broken(schema_version=1),
        broken(verdict="maybe"),
        broken(extra=1),
        broken(onnx_sha256="abc"),
        broken(legs={"torch": {"status": "ran", "counts": True}}),
        broken(comparisons=[{**entry, "tier": "other"}]),
        {key: value for key, value in record.items() if key != "limits"},
    ):
        with pytest.raises(jsonschema.ValidationError):
            check(content)


def test_a_record_is_read_back_as_it_was(record, tmp_path):
    path = tmp_path / "parity.json"
    path.write_text(Record.from_dict(record).to_json())
    again = read_record(path)
    assert again.to_dict() == json.loads(json.dumps(record))
    assert again == Record.from_dict(json.loads(path.read_text()))


def test_figures_that_are_no_numbers_of_json_are_strings(record):
    spoiled = Record.from_dict(record)
    entry = replace(spoiled.comparisons[-1], figures={"max_px": float("nan"), "mean": float("inf")})
    text = replace(spoiled, comparisons=(entry,)).to_json()
    (stored,) = json.loads(text)["comparisons"]
    assert stored["figures"] == {"max_px": "nan", "mean": "inf"}
    check(json.loads(text))


def test_time_can_be_fixed(small, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert small.verify(tmp_path)["created"] == "2023-11-14T22:13:20+00:00"


def version_1(record):
    """The record as version 1 had it, with an NPU's comparisons in a part of their own."""
    content = json.loads(json.dumps({**record, "schema_version": 1}))
    del content["notes"]
    for stats in content["noise_floor"].values():
        stats["reference_std"] = 1.0
    for case in content["cases"]:
        case["pictures"] = case.pop("images")
    entries = [{key: value for key, value in e.items() if key != "counts"} for e in content["comparisons"]]
    npu = [{**entry, "legs": "torch-npu"} for entry in entries if entry["legs"] == "torch-onnx"]
    content["comparisons"] = entries + npu
    content["legs"] = {
        "torch": {"status": "ran", "device": "cpu"},
        "onnx": {"status": "ran", "device": "cpu"},
        "npu": {"status": "ran", "device": "npu:0", "soc": "Ascend910B3", "simulated": True},
    }
    production = [{**npu[0], "verdict": "failed"}]
    content["npu"] = {
        "settings": {"strict": {"soc": "Ascend910B3"}, "production": {"soc": "Ascend910B3"}},
        "limits": {"strict": content["limits"], "production": content["limits"]},
        "hf32_effect": {},
        "production": {"verdict": "failed", "comparisons": production},
    }
    return content


def test_version_1_is_read(record, tmp_path):
    path = tmp_path / "parity.json"
    path.write_text(json.dumps(version_1(record)))
    found = read_record(path)
    assert found.verdict == "passed"
    assert list(found.legs) == [leg.name for leg in LEGS]
    assert found.legs["npu"].simulated
    assert found.legs["npu"].verdict == "passed"
    production = found.legs["npu-production"]
    assert (production.verdict, production.counts) == ("failed", False)
    assert [entry.counts for entry in found.comparisons if entry.legs == "torch-npu-production"] == [False]
    assert found.cases[0]["images"]
    check(found.to_dict())


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("{}", "cannot read"),
        ("[]", "cannot read"),
        ("no JSON", "cannot read"),
        ('{"schema_version": 3}', "schema 3, this version reads 1 and 2"),
        ('{"schema_version": true}', "schema True"),
        ('{"schema_version": 2}', "'model' is a required property"),
        ('{"schema_version": 2, "legs": 3}', "is a required property"),
        ('{"schema_version": 1, "legs": 3}', "is damaged"),
        ('{"schema_version": 2, "schema_version": 2}', "holds 'schema_version' twice"),
    ],
)
def test_what_is_no_record_is_refused(text, cause, tmp_path):
    (tmp_path / "parity.json").write_text(text)
    with pytest.raises(ArtifactError, match=cause):
        read_record(tmp_path / "parity.json")


def test_a_missing_record_is_told_as_such(tmp_path):
    with pytest.raises(ArtifactError, match="no such file"):
        read_record(tmp_path / "parity.json")
