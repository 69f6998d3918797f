"""An artifact as a whole: everything that was changed is seen, whatever was made to fit it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from cvport.errors import ArtifactError
from cvport.exporters.commands.cvexport import cvexport
from cvport.exporters.verify import require_whole, verify_artifact
from cvport.runtimes.commands.console import run_command
from cvport.runtimes.seal import KEY
from helpers.gate import with_digest


@pytest.fixture
def artifact(nano_artifact, tmp_path):
    """A copy of a published artifact."""
    return shutil.copytree(nano_artifact.onnx.parent.resolve(), tmp_path / "yolox")


def write_sums(folder, names=None):
    """Make sums that fit, as who changes files can."""
    names = names or sorted(path.name for path in folder.iterdir() if path.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (folder / "SHA256SUMS").write_text("".join(lines))


def problems(folder):
    return {check.name: "; ".join(check.problems) for check in verify_artifact(folder) if check.problems}


def change_model(folder, change):
    """Change the file, and its digest with it."""
    model = onnx.load(folder / "yolox.onnx")
    change(model)
    (folder / "yolox.onnx").write_bytes(with_digest(model))


def change_seal(folder, change):
    model = onnx.load(folder / "yolox.onnx")
    (entry,) = (prop for prop in model.metadata_props if prop.key == KEY)
    content = json.loads(entry.value)
    change(content)
    entry.value = json.dumps(content)
    (folder / "yolox.onnx").write_bytes(model.SerializeToString(deterministic=True))


def scale(model):
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == "head.obj_preds.0.weight")
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(1.5), tensor.name))


def test_published_artifact_fits(nano_artifact, artifact):
    for path in (artifact, artifact / "yolox.onnx", nano_artifact.onnx, nano_artifact.onnx.parent):
        assert problems(path) == {}
    assert [check.name for check in verify_artifact(artifact)] == [
        "sums",
        "seal",
        "graph",
        "record",
        "nodes",
        "sbom",
        "verdict",
    ]


def test_altered_file(artifact):
    data = bytearray((artifact / "yolox.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (artifact / "yolox.onnx").write_bytes(bytes(data))
    assert set(problems(artifact)) == {"sums", "seal", "record", "sbom"}
    write_sums(artifact)
    assert set(problems(artifact)) == {"seal", "record", "sbom"}


def test_altered_file_with_a_digest_and_sums_that_fit(artifact):
    change_model(artifact, scale)
    write_sums(artifact)
    found = problems(artifact)
    assert set(found) == {"record", "sbom"}
    assert "about another file" in found["record"]
    assert "about another file" in found["sbom"]
    assert "another seal than the file: digest" in found["record"]


def test_sums_that_list_too_little(artifact):
    change_model(artifact, scale)
    write_sums(artifact, ["parity.json"])
    assert "not listed: yolox.onnx" in problems(artifact)["sums"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{digest}  ../../etc/passwd", "leads out of the folder"),
        ("{digest}  /etc/passwd", "leads out of the folder"),
        ("{digest}  a/../../b", "leads out of the folder"),
        ("{digest}  ..\\b", "leads out of the folder"),
        ("{digest}  C:b", "leads out of the folder"),
        ("{digest}  parity.json", "listed twice"),
        ("{digest} parity.json", "is no sum"),
        ("0123  parity.json", "is no sum"),
        ("{digest}  none.bin", "missing none.bin"),
    ],
)
def test_lines_of_sums_that_are_none(artifact, line, message):
    digest = hashlib.sha256(b"").hexdigest()
    with (artifact / "SHA256SUMS").open("a") as file:
        file.write(line.format(digest=digest) + "\n")
    assert message in problems(artifact)["sums"]


def test_files_that_do_not_belong_there(artifact):
    (artifact / "payload.py").write_text("")
    assert set(problems(artifact)) == {"sums"}
    assert "not listed: payload.py" in problems(artifact)["sums"]
    (artifact / "payload.py").unlink()
    (artifact / "SHA256SUMS.sig").write_text("")
    assert problems(artifact) == {}, "a signature is made over the sums"


def test_links_are_no_files_of_an_artifact(artifact, tmp_path):
    (tmp_path / "elsewhere").write_bytes((artifact / "parity.md").read_bytes())
    (artifact / "parity.md").unlink()
    os.symlink(tmp_path / "elsewhere", artifact / "parity.md")  # noqa: PTH211
    assert "missing parity.md" in problems(artifact)["sums"]


def test_record_of_another_verdict(artifact):
    record = json.loads((artifact / "parity.json").read_text())
    worst = next(entry for entry in record["comparisons"] if entry["tier"] == "tensors")
    worst["verdict"] = "failed"
    (artifact / "parity.json").write_text(json.dumps(record))
    write_sums(artifact)
    assert "says passed, with 1 comparisons that did not pass" in problems(artifact)["record"]
    record["verdict"] = "failed"
    (artifact / "parity.json").write_text(json.dumps(record))
    write_sums(artifact)
    assert set(problems(artifact)) == {"verdict"}, "a rejected artifact is whole"
    record["verdict"] = "passed"
    record["comparisons"] = [entry for entry in record["comparisons"] if entry["tier"] != "tensors"]
    (artifact / "parity.json").write_text(json.dumps(record))
    write_sums(artifact)
    assert "no comparison of outputs" in problems(artifact)["record"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema_version": 2}', '{"schema_version": 9}'])
def test_damaged_records(artifact, text):
    (artifact / "parity.json").write_text(text)
    write_sums(artifact)
    assert set(problems(artifact)) == {"record", "verdict"}


@pytest.mark.parametrize(
    ("name", "value", "where"),
    [
        ("input_size", [320, 320], "graph"),
        ("batch", 4, "graph"),
        ("opset", 17, "graph"),
        ("model", "nanodet", "seal"),
        ("labels", ["a", "b", "d"], "record"),
    ],
)
def test_seals_of_something_else(artifact, name, value, where):
    change_seal(artifact, lambda content: content.update({name: value}))
    write_sums(artifact)
    assert where in problems(artifact)


def test_graphs_of_something_else(artifact):
    def to_double(model):
        model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.DOUBLE

    change_model(artifact, to_double)
    write_sums(artifact)
    assert "cls_0 is not float32" in problems(artifact)["graph"]


def test_operators_of_another_file(artifact):
    content = json.loads((artifact / "nodes.json").read_text())
    content["nodes"][3]["name"] = "else"
    (artifact / "nodes.json").write_text(json.dumps(content))
    write_sums(artifact)
    assert set(problems(artifact)) == {"nodes"}
    (artifact / "nodes.json").write_text("{}")
    write_sums(artifact)
    assert "cannot read" in problems(artifact)["nodes"]


def test_materials_of_another_file(artifact):
    path = artifact / "sbom.cdx.json"
    whole = json.loads(path.read_text())
    for change, message in (
        (lambda bill: bill["metadata"]["component"]["hashes"][0].update(content="0" * 64), "about another file"),
        (lambda bill: bill["components"][0].update(version="0" * 64), "than the file: weights_sha256"),
        (lambda bill: bill["components"][0].update(name="nanodet"), "than the file: model"),
        (lambda bill: bill["components"][2].update(version="0.1"), "than the file: tools"),
        (lambda bill: bill["components"].pop(), "than the file: tools"),
        (lambda bill: bill.update(serialNumber="urn:uuid:0"), "than the file: serial"),
        (lambda bill: bill.update(specVersion="1.5"), "it is CycloneDX 1.5"),
        (lambda bill: bill.update(components=[]), "cannot read"),
        (lambda bill: bill["metadata"].pop("component"), "cannot read"),
    ):
        bill = json.loads(json.dumps(whole))
        change(bill)
        path.write_text(json.dumps(bill))
        write_sums(artifact)
        found = problems(artifact)
        assert set(found) == {"sbom"}, message
        assert message in found["sbom"]


@pytest.mark.parametrize("text", ["", "[]", "[" * 100000, '{"bomFormat": [], "specVersion": {}}', "\ud800"])
def test_damaged_materials(artifact, text):
    (artifact / "sbom.cdx.json").write_bytes(text.encode(errors="surrogatepass"))
    write_sums(artifact)
    assert set(problems(artifact)) == {"sbom"}


def test_artifact_of_before_there_were_materials(artifact):
    (artifact / "sbom.cdx.json").unlink()
    assert "missing sbom.cdx.json" in problems(artifact)["sums"]
    write_sums(artifact)
    assert problems(artifact) == {}


def test_file_alone_and_no_file(artifact, tmp_path):
    shutil.copy(artifact / "yolox.onnx", tmp_path / "yolox.onnx")
    assert set(problems(tmp_path / "yolox.onnx")) == {"sums", "record", "verdict"}
    for path in (tmp_path / "none", tmp_path / "none.onnx"):
        with pytest.raises(ArtifactError):
            verify_artifact(path)
    (tmp_path / "bad.onnx").write_text("no model")
    assert "seal" in problems(tmp_path / "bad.onnx")


def test_flipped_bits_are_all_seen(artifact):
    rng = np.random.default_rng(0)
    for name in sorted(path.name for path in artifact.iterdir()):
        path = artifact / name
        whole = path.read_bytes()
        for _ in range(3):
            data = bytearray(whole)
            data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
            path.write_bytes(bytes(data))
            assert problems(artifact), name
        path.write_bytes(whole)
    assert problems(artifact) == {}


def test_command(artifact, capsys):
    assert run_command(cvexport, ["verify", str(artifact)]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "sums     fits"
    (artifact / "report.html").write_text("")
    assert run_command(cvexport, ["verify", str(artifact), "--json"]) == 4
    content = json.loads(capsys.readouterr().out)
    assert content["verdict"] == "failed"
    assert content["checks"][0]["name"] == "sums"
    assert "altered report.html" in content["checks"][0]["problems"][0]
    with pytest.raises(ArtifactError, match="altered"):
        require_whole(artifact)


def test_parity_shows_no_record_that_does_not_fit(artifact):
    assert run_command(cvexport, ["parity", str(artifact / "yolox.onnx")]) == 0
    change_model(artifact, scale)
    write_sums(artifact)
    assert run_command(cvexport, ["parity", str(artifact / "yolox.onnx")]) == 4


def test_without_the_library_that_reads_graphs(artifact, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "onnx", None)
    for command in (["verify", str(artifact)], ["parity", str(artifact / "yolox.onnx")]):
        assert run_command(cvexport, command) == 5
        assert "pip install 'cvport[export]'" in capsys.readouterr().err
