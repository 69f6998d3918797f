"""What an exported file says about itself is read back as it was written, or refused."""

import hashlib
import json
import logging
import subprocess
import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import onnx
import pytest

from cvport.errors import ArtifactError
from cvport.models.registry import get_model
from cvport.models.yolox.postprocess import PostprocessParams
from cvport.models.yolox.preprocess import PreprocessParams, params_for
from cvport.runtimes.load import load
from cvport.runtimes.seal import (
    KEY,
    SCHEMA_VERSION,
    Seal,
    check_digest,
    content_digest,
    content_digest_of,
    digest_fits,
    read_params,
    read_seal,
    sealed_model,
)
from helpers.plugins import install

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


VERSION_1 = json.dumps(json.loads(SEAL.to_json()) | {"schema_version": 1})


def refused(text: str) -> ArtifactError:
    with pytest.raises(ArtifactError) as caught:
        sealed_model(Seal.from_json(text, PATH), PATH)
    assert caught.value.exit_code == 4
    assert str(PATH) in caught.value.message
    assert caught.value.hint
    return caught.value


def changed(**changes: object) -> str:
    return json.dumps(json.loads(SEAL.to_json()) | changes)


def test_round_trip():
    seal = Seal.from_json(SEAL.to_json(), PATH)
    assert seal == SEAL
    assert not seal.is_legacy
    assert sealed_model(seal, PATH).name == "yolox"
    assert Seal.from_json(replace(SEAL, batch=4).to_json(), PATH).batch == 4


def test_optional_fields_are_written_where_they_are_something():
    full = replace(SEAL, form="decoded", probe={"seed": 1, "values": [0.5]}, digest="0f" * 32)
    assert Seal.from_json(full.to_json(), PATH) == full
    assert set(json.loads(full.to_json())) - set(json.loads(SEAL.to_json())) == {"form", "probe", "digest"}


def test_version_1_is_still_read():
    seal = Seal.from_json(VERSION_1, PATH)
    assert seal == replace(SEAL, schema_version=1)
    assert seal.is_legacy
    assert json.loads(seal.to_json()) == json.loads(VERSION_1), "comparisons of an old file see what is in it"


def test_version_1_has_no_digest():
    assert "differs in: digest" in refused(json.dumps(json.loads(VERSION_1) | {"digest": "0f" * 32})).message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("labels", 5),
        ("labels", [1, 2]),
        ("labels", "hand"),
        ("input_size", [160]),
        ("input_size", [160, -1]),
        ("input_size", 160),
        ("batch", "two"),
        ("batch", 0),
        ("batch", True),
        ("batch", None),
        ("model", ["yolox"]),
        ("title", None),
        ("variant", []),
        ("weights", "ab"),
        ("preprocess", None),
        ("opset", "18"),
        ("tools", 3),
        ("form", 1),
        ("probe", "seed"),
        ("digest", "short"),
        ("digest", 7),
    ],
)
def test_values_of_another_kind_are_refused(name, value):
    error = refused(changed(**{name: value}))
    assert "cannot be used" in error.message
    assert name in error.message


def test_same_seal_same_text():
    shuffled = replace(SEAL, weights=dict(reversed(SEAL.weights.items())))
    assert shuffled.to_json() == SEAL.to_json()


def test_every_part_of_design_is_in_it():
    content = json.loads(SEAL.to_json())
    assert {"schema_version", "model", "variant", "labels", "preprocess", "postprocess", "opset", "tools"} <= set(
        content
    )
    assert {"sha256", "origin"} <= set(content["weights"])
    assert content["schema_version"] == 2
    assert not {"form", "probe", "digest"} & set(content), "None is left out"


@pytest.mark.parametrize("untrained", [True, False])
def test_untrained(untrained):
    assert replace(SEAL, weights={**SEAL.weights, "untrained": untrained}).untrained is untrained


@pytest.mark.parametrize(
    "text", ["", "{", "model: yolox", "null", "[]", "17", '"text"', "{}", '{"schema": 1}', "[" * 100_000]
)
def test_metadata_that_cannot_be_read(text):
    assert "cannot be read" in refused(text).message


@pytest.mark.parametrize("version", [0, 3, "1", None, [1], True, 1.0])
def test_unknown_schema(version):
    error = refused(changed(schema_version=version))
    assert f"schema {version!r}, this version reads 1 and 2" in error.message
    assert "version" in error.hint


def test_unknown_schema_counts_more_than_unknown_fields():
    assert "schema 3" in refused(json.dumps({"schema_version": 3, "network": "yolox"})).message


def test_missing_field():
    content = json.loads(SEAL.to_json())
    del content["labels"]
    for version in (1, 2):
        assert "differs in: labels" in refused(json.dumps(content | {"schema_version": version})).message


def test_unknown_field():
    assert "differs in: colour" in refused(changed(colour="red")).message


def test_unknown_model():
    error = refused(changed(model="yolo"))
    assert "holds 'yolo', a model unknown to this version" in error.message
    assert "yolox" in error.hint


# --- the file


def write(path, *, metadata=(), values=(0.0, 1.0)):
    """A small model that gives a constant, with metadata entries in this order."""
    value = onnx.helper.make_tensor_value_info
    constant = onnx.helper.make_tensor("c", onnx.TensorProto.FLOAT, [len(values)], values)
    node = onnx.helper.make_node("Add", ["x", "c"], ["y"])
    graph = onnx.helper.make_graph([node], "g", [value("x", 1, [1])], [value("y", 1, [len(values)])], [constant])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    for key, text in metadata:
        model.metadata_props.add(key=key, value=text)
    path.write_bytes(model.SerializeToString(deterministic=True))
    return path


def sealed(path, values=(0.0, 1.0)):
    """Such a model with a seal that has its digest."""
    digest = content_digest(write(path, metadata=[("other", "thing")], values=values))
    return write(path, metadata=[("other", "thing"), (KEY, replace(SEAL, digest=digest).to_json())], values=values)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of digests of this test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/cvport/digests.json"


def test_seal_of_a_file(tmp_path):
    path = write(tmp_path / "some.onnx", metadata=[("other", "thing"), (KEY, SEAL.to_json()), ("last", "")])
    assert read_seal(path) == SEAL


def test_seal_is_read_without_a_session(nano_artifact):
    code = (
        "import sys, pathlib; from cvport.runtimes.seal import read_seal, check_digest; "
        "p = pathlib.Path(sys.argv[1]); s = read_seal(p); check_digest(p, s); "
        "print(s.model, *({'onnx', 'onnxruntime', 'torch', 'google'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, nano_artifact.onnx], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["yolox"]


def test_file_of_another_tool(tmp_path):
    path = write(tmp_path / "some.onnx", metadata=[("names", "{0: 'person'}"), ("stride", "32")])
    with pytest.raises(ArtifactError, match=r"some\.onnx was not made by cvexport.*IR version 10, opset 18") as caught:
        read_seal(path)
    assert "cvexport MODEL --weights W" in caught.value.hint


def test_two_seals_are_no_seal(tmp_path):
    path = write(tmp_path / "some.onnx", metadata=[(KEY, SEAL.to_json())] * 2)
    for read in (read_seal, content_digest):
        with pytest.raises(ArtifactError, match="2 entries 'cvport'"):
            read(path)


def test_digest_is_that_of_the_bytes_without_the_seal(tmp_path):
    plain = write(tmp_path / "plain.onnx", metadata=[("a", "1"), ("b", "2")])
    expected = hashlib.sha256(plain.read_bytes()).hexdigest()
    assert content_digest(plain) == content_digest_of(plain.read_bytes()) == expected
    for place in range(3):
        metadata = [("a", "1"), ("b", "2")]
        metadata.insert(place, (KEY, SEAL.to_json()))
        path = write(tmp_path / f"{place}.onnx", metadata=metadata)
        assert content_digest(path) == content_digest_of(path.read_bytes()) == expected
    assert content_digest(write(tmp_path / "other.onnx", metadata=[("a", "1"), ("b", "3")])) != expected


def test_exported_file_has_the_digest_of_its_content(nano_artifact):
    seal = read_seal(nano_artifact.onnx)
    assert seal.schema_version == 2
    assert seal.digest == content_digest(nano_artifact.onnx)
    model = onnx.load(nano_artifact.onnx)
    del model.metadata_props[:]
    assert seal.digest == hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()


def test_altered_file_is_refused(tmp_path):
    path = sealed(tmp_path / "a.onnx")
    seal = read_seal(path)
    assert digest_fits(path, seal) is True
    check_digest(path, seal)
    write(path, metadata=[("other", "thing"), (KEY, seal.to_json())], values=(0.0, 2.0))
    assert digest_fits(path, seal) is False
    with pytest.raises(ArtifactError, match=r"a\.onnx was altered after export") as caught:
        check_digest(path, seal)
    assert caught.value.exit_code == 4
    assert "export it again" in caught.value.hint


def test_file_without_a_digest_runs_with_one_line(tmp_path, caplog):
    path = write(tmp_path / "a.onnx", metadata=[(KEY, SEAL.to_json())])
    assert digest_fits(path, read_seal(path)) is None
    with caplog.at_level(logging.WARNING):
        check_digest(path, read_seal(path))
    (record,) = caplog.records
    assert "a.onnx was sealed without a digest" in record.getMessage()


@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_loading_an_altered_file(nano_artifact, tmp_path, backend):
    model = onnx.load(nano_artifact.onnx)
    model.graph.node[0].name = "renamed"
    path = tmp_path / "yolox.onnx"
    path.write_bytes(model.SerializeToString(deterministic=True))
    with pytest.raises(ArtifactError, match="was altered after export"):
        load(path, backend=backend, weights=nano_artifact.weights)


def test_version_1_of_an_exported_file_runs(nano_artifact, tmp_path, caplog):
    model = onnx.load(nano_artifact.onnx)
    (entry,) = model.metadata_props
    content = json.loads(entry.value) | {"schema_version": 1}
    del content["digest"], content["probe"], content["postprocess"]["max_detections"]
    entry.value = json.dumps(content)
    path = tmp_path / "yolox.onnx"
    path.write_bytes(model.SerializeToString(deterministic=True))
    with load(path, backend="onnx") as predictor:
        assert predictor.postprocess_params.max_detections == 1000
    assert "sealed without a digest" in caplog.text
    entry.value = json.dumps(content | {"schema_version": 2})
    path.write_bytes(model.SerializeToString(deterministic=True))
    with pytest.raises(ArtifactError, match="missing: max_detections"):
        load(path, backend="onnx")


def test_form_that_this_version_does_not_run(with_seal):
    with pytest.raises(ArtifactError, match="outputs of the form 'folded', which this version of yolox does not have"):
        load(with_seal(form="folded"), backend="onnx")


# --- parameters


@dataclass(frozen=True)
class Params:
    size: tuple[int, int]
    scale: float = 1.0
    names: tuple[str, ...] = field(default_factory=tuple)


def test_read_params_makes_tuples_of_lists():
    content = {"size": [1, 2], "scale": 0.5, "names": ["a"]}
    assert read_params(Params, content, "x") == Params((1, 2), 0.5, ("a",))


def test_older_parameters_take_the_defaults_of_what_they_lack():
    assert read_params(Params, {"size": [1, 2]}, "x", legacy=True) == Params((1, 2))
    for content in ({"scale": 1.0}, {"size": [1, 2], "mean": 2}):
        with pytest.raises(ArtifactError, match=r"(missing: size|unknown: mean)"):
            read_params(Params, content, "x", legacy=True)


@pytest.mark.parametrize("params", [params_for("easycv", (416, 640)), PostprocessParams(max_detections=7)])
def test_parameters_of_a_model_survive_json(params):
    assert isinstance(params, PreprocessParams | PostprocessParams)
    content = json.loads(json.dumps(params.__dict__))
    assert read_params(type(params), content, "x") == params


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ({"size": [1, 2], "names": []}, "it does not fit Params (missing: scale)"),
        ({"size": [1, 2], "scale": 1, "names": [], "mean": 2}, "it does not fit Params (unknown: mean)"),
        ({"scales": 1}, "it does not fit Params (unknown: scales; missing: names, scale, size)"),
        ({}, "it does not fit Params (missing: names, scale, size)"),
        (None, "it does not fit Params: None is no object"),
        ([1, 2], "it does not fit Params: [1, 2] is no object"),
    ],
)
def test_read_params_wants_the_very_fields(content, wrong):
    with pytest.raises(ArtifactError) as caught:
        read_params(Params, content, "the sealed preprocessing of a.onnx")
    assert caught.value.message == f"the sealed preprocessing of a.onnx cannot be used: {wrong}"
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


def test_model_of_a_package_that_is_broken_or_missing(tmp_path, monkeypatch):
    text = replace(SEAL, model="fish", tools={"model": "cvport-fish 1.2"}).to_json()
    error = refused(text)
    assert error.message == f"{PATH} holds 'fish', a model of cvport-fish 1.2, which is not installed"
    assert error.hint == "Install the package: pip install cvport-fish"
    install(tmp_path, "cvport-fish", {"fish": "no_such_module:SPEC"})
    monkeypatch.syspath_prepend(tmp_path)
    error = refused(text)
    assert error.message.startswith(f"{PATH} cannot be used: the model 'fish' of cvport-fish 1.2 cannot be used: ")
    assert "No module named 'no_such_module'" in error.message
    assert "pip uninstall cvport-fish" in error.hint
