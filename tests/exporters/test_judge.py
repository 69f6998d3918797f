"""Files that are there already: ours, altered or not, and those of someone else."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import external_data_helper, helper, numpy_helper

from cvport.errors import ArtifactError, UsageError, WeightsError
from cvport.exporters import judge as module
from cvport.exporters.commands.cvexport import cvexport
from cvport.exporters.graphs.trace import trace
from cvport.exporters.judge import judge_file
from cvport.models.spec import VariantOptions
from cvport.runtimes.commands.console import run_command
from cvport.runtimes.seal import KEY

OPTIONS = VariantOptions(input_size=(160, 160), preprocess="easycv")
WEIGHT = "backbone.backbone.dark3.1.m.1.conv2.dconv.conv.weight"
THEIRS = {"input": "images", "cls_0": "scores"}
MAP = ["scores=cls_0"]


@pytest.fixture(autouse=True)
def traced_once(small, monkeypatch):
    """Tracing is the same each time and takes nearly all the time."""
    made = []

    def once(network, spec, size, batch):
        if not made:
            made.append(trace(network, spec, size, batch))
        return made[0]

    monkeypatch.setattr(module, "trace", once)
    monkeypatch.setattr(module, "_structure", lambda *_: small.structure)


@pytest.fixture(scope="module")
def theirs(small):
    """A file as another exporter writes it: nothing folded, other names, no seal."""
    model = trace(small.network, small.spec, (160, 160), "dynamic")
    for node in model.graph.node:
        node.input[:] = [THEIRS.get(name, name) for name in node.input]
        node.output[:] = [THEIRS.get(name, name) for name in node.output]
    for entry in (*model.graph.input, *model.graph.output):
        entry.name = THEIRS.get(entry.name, entry.name)
    del model.metadata_props[:]
    return model


def write(model, folder):
    path = folder / "theirs.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def copy(model):
    other = onnx.ModelProto()
    other.CopyFrom(model)
    return other


def with_clip(model, bound):
    """The file with a bound behind its tenth convolution."""
    other = copy(model)
    index = [i for i, node in enumerate(other.graph.node) if node.op_type == "Conv"][10]
    name = other.graph.node[index].output[0]
    other.graph.node[index].output[0] = "before"
    other.graph.initializer.append(numpy_helper.from_array(np.float32(bound), "bound"))
    other.graph.node.insert(index + 1, helper.make_node("Clip", ["before", "", "bound"], [name], name="added"))
    return other


def judge(path, weights, **options):
    return judge_file(path, weights, model="yolox", mapping=MAP, options=OPTIONS, **options)


# --- sealed files


@pytest.fixture
def sealed(small, weights, tmp_path):
    """A function that writes the file of *weights*, with some of it changed."""
    from cvport.models.weights.digest import sha256_file

    def make(change=lambda _model: None):
        model = onnx.load_from_string(small.onnx)
        change(model)
        (entry,) = (prop for prop in model.metadata_props if prop.key == KEY)
        content = json.loads(entry.value)
        content["weights"] = {"sha256": sha256_file(weights), "origin": "nano.pth", "untrained": False}
        entry.value = json.dumps(content)
        path = tmp_path / "yolox.onnx"
        path.write_bytes(model.SerializeToString())
        return path

    return make


def test_a_sealed_file_is_judged_by_its_seal(sealed, weights):
    record = judge_file(sealed(), weights)
    assert record.verdict == "passed"
    assert record.notes == ()
    assert {entry.tier for entry in record.comparisons} == {
        *("seal", "structure", "algebra", "spread", "tensors", "decoded", "batches"),
    }


def test_an_altered_file_is_told_and_failed(sealed, weights):
    def alter(model):
        tensor = next(tensor for tensor in model.graph.initializer if tensor.name == WEIGHT)
        value = numpy_helper.to_array(tensor).copy()
        value.reshape(-1)[7] *= np.float32(1.0001)
        tensor.CopyFrom(numpy_helper.from_array(value, WEIGHT))

    record = judge_file(sealed(alter), weights)
    assert record.verdict == "failed"
    assert record.notes == ("the digest does not fit: the file was changed after its export",)
    (entry,) = (entry for entry in record.comparisons if entry.tier == "structure" and entry.verdict == "failed")
    assert WEIGHT in entry.reasons[0]


def test_other_weights_than_the_sealed_ones_are_refused(sealed, weights, tmp_path):
    path = sealed()
    with pytest.raises(WeightsError):
        judge_file(path, "seeded")


def test_a_seal_leaves_nothing_to_be_named(sealed, weights):
    with pytest.raises(UsageError, match="the file is sealed"):
        judge_file(sealed(), weights, model="yolox")


# --- files of others


def test_a_file_of_someone_else_passes(theirs, weights, tmp_path):
    record = judge(write(theirs, tmp_path), weights)
    assert record.verdict == "passed"
    assert "has no seal: it was decoded with the defaults of yolox; its opset is ai.onnx 18" in record.notes[0]
    assert not [entry for entry in record.comparisons if entry.tier == "seal"]


def test_a_bound_that_bites_fails_and_one_that_does_not_is_told(theirs, weights, tmp_path):
    record = judge(write(with_clip(theirs, 1e6), tmp_path), weights)
    assert record.verdict == "passed"
    (entry,) = (entry for entry in record.comparisons if entry.tier == "structure")
    assert entry.borderline == ("unexplained: Clip added",)
    record = judge(write(with_clip(theirs, 3.0), tmp_path), weights)
    assert record.verdict == "failed"
    (entry,) = (entry for entry in record.comparisons if entry.tier == "structure")
    assert "Clip added changes values by up to" in entry.reasons[0]


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ([], "has no cls_0; it has images, scores, reg_0"),
        (["scores"], "is not THEIRS=OURS"),
        (["score=cls_0"], "no input or output 'score'"),
        (["scores=cls_9"], "yolox has no input or output 'cls_9'"),
    ],
)
def test_a_map_that_names_nothing(theirs, weights, tmp_path, mapping, message):
    with pytest.raises(UsageError, match=message):
        judge_file(write(theirs, tmp_path), weights, model="yolox", mapping=mapping, options=OPTIONS)


def test_a_file_without_a_seal_needs_a_model(theirs, weights, tmp_path):
    with pytest.raises(UsageError, match="has no seal") as error:
        judge_file(write(theirs, tmp_path), weights)
    assert "--model" in error.value.hint


def test_another_number_of_classes(theirs, small, make_small, tmp_path):
    import torch

    from helpers.yolox import megvii_variant

    state = small.spec.seeded(0, megvii_variant("nano", 5))
    other = tmp_path / "five.pth"
    torch.save({"model": {key: torch.from_numpy(value) for key, value in state.items()}}, other)
    with pytest.raises(WeightsError, match=r"cls_0 is \[1, 3, 20, 20\] in the file and \[1, 5, 20, 20\]"):
        judge(write(theirs, tmp_path), other)


def test_weights_in_another_file_that_is_missing(theirs, weights, tmp_path):
    model = copy(theirs)
    external_data_helper.convert_model_to_external_data(model, location="weights.bin", size_threshold=1024)
    path = tmp_path / "theirs.onnx"
    onnx.save(model, path)
    assert judge(path, weights).verdict == "passed"
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(ArtifactError, match="weights"):
        judge(path, weights)


def test_another_opset_is_run_and_told(theirs, weights, tmp_path):
    model = copy(theirs)
    model.opset_import[0].version = 19
    assert "its opset is ai.onnx 19" in judge(write(model, tmp_path), weights).notes[0]


def test_channels_last_cannot_be_compared(theirs, weights, tmp_path):
    model = copy(theirs)
    dims = model.graph.input[0].type.tensor_type.shape.dim
    dims[1].dim_value, dims[3].dim_value = 160, 3
    with pytest.raises(ArtifactError, match=r"not \(N, 3, H, W\) float32"):
        judge(write(model, tmp_path), weights)


def test_another_input_size_than_the_files(theirs, weights, tmp_path):
    with pytest.raises(UsageError, match=r"takes \(160, 160\)"):
        judge_file(
            write(theirs, tmp_path),
            weights,
            model="yolox",
            mapping=MAP,
            options=VariantOptions(input_size=(320, 320)),
        )


def test_the_command(theirs, weights, tmp_path, capsys):
    path = write(theirs, tmp_path)
    options = ["--model", "yolox", "--map", MAP[0], "--preprocess", "easycv", "-q"]
    assert run_command(cvexport, ["parity", str(path), "--weights", str(weights), *options, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["verdict"] == "passed"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["nano.pth", "theirs.onnx"], "nothing is written"
    clipped = write(with_clip(theirs, 3.0), tmp_path)
    assert run_command(cvexport, ["parity", str(clipped), "--weights", str(weights), *options]) == 6
    assert run_command(cvexport, ["parity", str(path), "--model", "yolox"]) == 2
    assert "--model is for a comparison that is made now" in capsys.readouterr().err
    assert run_command(cvexport, ["parity", str(path), "--weights", str(weights), "--capture", "c.npz"]) == 2
    assert run_command(cvexport, ["parity", str(path), "--weights", str(tmp_path / "none.pth"), *options]) == 4
