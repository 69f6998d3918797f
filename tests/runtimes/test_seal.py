"""What an exported file says about itself is read back as it was written, or refused."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pytest
from cvport.errors import ArtifactError
from cvport.models.registry import get_model
from cvport.models.yolox.postprocess import PostprocessParams
from cvport.models.yolox.preprocess import PreprocessParams, params_for
from cvport.runtimes.predictor import read_seal
from cvport.runtimes.seal import KEY, SCHEMA_VERSION, Seal, read_params

PATH = Path("folder/some.onnx")
SEAL = Seal(
    schema_version=SCHEMA_VERSION,
    model="yolox",
    title="YOLOX-nano",
    variant={"backbone": "CSPDarknet", "blocks": [1, 3]},
    input_size=(160, 320),
    batch="dynamic",
    labels=("手", "a, b", "c\n"),
    preprocess={"mean": [0.0, 1.5, 0.1]},
    postprocess={"score_threshold": 0.3},
    weights={"sha256": "ab", "origin": "nano.pth", "untrained": False},
    opset=18,
    tools={"torch": "2.13.0"},
)


def refused(text: str) -> ArtifactError:
    with pytest.raises(ArtifactError) as caught:
        read_seal({KEY: text}, PATH)
    assert caught.value.exit_code == 4
    assert str(PATH) in caught.value.message
    assert caught.value.hint
    return caught.value


def changed(**changes: object) -> str:
    return json.dumps(json.loads(SEAL.to_json()) | changes)


def test_round_trip():
    spec, seal = read_seal({KEY: SEAL.to_json(), "other": "thing"}, PATH)
    assert seal == SEAL
    assert spec.name == "yolox"
    assert Seal.from_metadata({KEY: replace(SEAL, batch=4).to_json()}, PATH).batch == 4


def test_same_seal_same_text():
    shuffled = replace(SEAL, weights=dict(reversed(SEAL.weights.items())))
    assert shuffled.to_json() == SEAL.to_json()


def test_every_part_of_design_is_in_it():
    content = json.loads(SEAL.to_json())
    assert {"schema_version", "model", "variant", "labels", "preprocess", "postprocess", "opset", "tools"} <= set(
        content
    )
    assert {"sha256", "origin"} <= set(content["weights"])
    assert content["schema_version"] == 1


@pytest.mark.parametrize("untrained", [True, False])
def test_untrained(untrained):
    assert replace(SEAL, weights={**SEAL.weights, "untrained": untrained}).untrained is untrained


@pytest.mark.parametrize("metadata", [{}, {"names": "{0: 'person'}", "stride": "32"}])
def test_file_of_another_tool(metadata):
    with pytest.raises(ArtifactError, match=r"some\.onnx was not made by cvexport") as caught:
        Seal.from_metadata(metadata, PATH)
    assert caught.value.hint == "Export it again: cvexport MODEL"


@pytest.mark.parametrize("text", ["", "{", "model: yolox", "null", "[]", "17", '"text"', "{}", '{"schema": 1}'])
def test_metadata_that_cannot_be_read(text):
    assert "cannot be read" in refused(text).message


@pytest.mark.parametrize("version", [0, 2, "1", None, [1]])
def test_unknown_schema(version):
    error = refused(changed(schema_version=version))
    assert f"schema {version!r}, this version reads 1" in error.message
    assert "version" in error.hint


def test_unknown_schema_counts_more_than_unknown_fields():
    assert "schema 2" in refused(json.dumps({"schema_version": 2, "network": "yolox"})).message


def test_missing_field():
    content = json.loads(SEAL.to_json())
    del content["labels"]
    assert "differs in: labels" in refused(json.dumps(content)).message


def test_unknown_field():
    assert "differs in: colour" in refused(changed(colour="red")).message


def test_unknown_model():
    error = refused(changed(model="yolo"))
    assert "holds 'yolo', a model unknown to this version" in error.message
    assert "yolox" in error.hint


# --- parameters


@dataclass(frozen=True)
class Params:
    size: tuple[int, int]
    scale: float = 1.0


def test_read_params_makes_tuples_of_lists():
    assert read_params(Params, {"size": [1, 2], "scale": 0.5}, "x") == Params((1, 2), 0.5)


@pytest.mark.parametrize("params", [params_for("easycv", (416, 640)), PostprocessParams(max_detections=7)])
def test_parameters_of_a_model_survive_json(params):
    assert isinstance(params, PreprocessParams | PostprocessParams)
    content = json.loads(json.dumps(params.__dict__))
    assert read_params(type(params), content, "x") == params


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ({"size": [1, 2]}, "scale"),
        ({"size": [1, 2], "scale": 1, "mean": 2}, "mean"),
        ({"scales": 1}, "scale, scales, size"),
        ({}, "scale, size"),
        (None, "scale, size"),
        ([1, 2], "scale, size"),
    ],
)
def test_read_params_wants_the_very_fields(content, wrong):
    with pytest.raises(ArtifactError) as caught:
        read_params(Params, content, "the sealed preprocessing of a.onnx")
    assert caught.value.message == f"the sealed preprocessing of a.onnx does not fit Params (differs in: {wrong})"
    assert caught.value.hint


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("preprocess", "interpolation", "cubic"),
        ("preprocess", "colour", None),
        ("preprocess", "std", [1.0, 0.0, 1.0]),
        ("preprocess", "input_size", "416"),
        ("postprocess", "strides", [0, 16, 32]),
        ("postprocess", "score_threshold", 30),
        ("postprocess", "iou_threshold", "high"),
        ("postprocess", "activation", "softmax"),
    ],
)
def test_values_that_make_no_sense_are_refused(part, name, value):
    kinds = dict(zip(("preprocess", "postprocess"), get_model("yolox").params_types, strict=True))
    good = asdict(params_for("easycv", (64, 64)) if part == "preprocess" else kinds[part]())
    assert read_params(kinds[part], good, "it")
    with pytest.raises(ArtifactError):
        read_params(kinds[part], {**good, name: value}, "it")
